package watch

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// A stream whose frames are held back at random times for random times: the monitor, fed with the bytes of an FLV stream,
// reports exactly the stalls that follow from the pattern.
func TestHeldBackAtRandom(t *testing.T) {
	c := config(t)
	zero := time.Now()
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 5))
		n := 200 + r.IntN(300)
		arrivals := make([]time.Duration, n) // a frame is held until a gate opens; frames never overtake
		var gate time.Duration
		for i := range arrivals {
			due := time.Duration(i) * interval
			if due >= gate && r.IntN(60) == 0 {
				gate = due + time.Duration(r.IntN(2500))*time.Millisecond
			}
			arrivals[i] = max(due, gate)
		}
		m := NewMonitor(zero, nil)
		var p parser
		for i, at := range arrivals {
			if err := p.write(zero.Add(at), tags(t, c, i, i+1), func(f *media.Frame) { m.Observe(f) }); err != nil {
				t.Fatal(err)
			}
		}
		report := m.Report(zero.Add(arrivals[n-1]))
		for _, got := range report.Score.Players {
			stalls, seconds := played(arrivals, time.Duration(got.BufferMs)*time.Millisecond)
			if d := got.StallSeconds - seconds.Seconds(); got.Started && (got.Stalls != stalls || d > 1e-9 || d < -1e-9) {
				t.Fatalf("seed %d, buffer %g ms: %d stalls of %v s, want %d of %v", seed, got.BufferMs, got.Stalls, got.StallSeconds, stalls, seconds)
			}
		}
	}
}

// played is the player in its simplest form, for frames that all come: it starts when the buffer is full, shows each frame
// when it is due or when it is there, and a wait of more than 100 ms moves the clock.
func played(arrivals []time.Duration, buffer time.Duration) (stalls int, total time.Duration) {
	full := int((buffer + interval - 1) / interval)
	if full > len(arrivals) {
		return 0, 0
	}
	clock := arrivals[full-1]
	for i, at := range arrivals {
		if late := at - clock - time.Duration(i)*interval; late > 100*time.Millisecond {
			stalls++
			total += late
			clock += late
		}
	}
	return stalls, total
}
