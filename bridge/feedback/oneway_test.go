package feedback_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/feedback"
)

// link is a queue without end, as a TCP sender has.
type link struct {
	rate func(at time.Duration) float64
	free time.Duration
}

func (l *link) carry(at time.Duration, size int) time.Duration {
	l.free = max(l.free, at)
	l.free += time.Duration(float64(size) * 8 / l.rate(l.free) * 1e9)
	return l.free + 20*time.Millisecond
}

// An encoder that follows the target keeps to what the link carries: down within a second, up again, with a short queue.
func TestOneWayFollowsTheLink(t *testing.T) {
	step := func(at time.Duration) float64 {
		if at > 10*time.Second && at < 20*time.Second {
			return 2e6
		}
		return 6e6
	}
	for _, kind := range []string{"frames over TCP", "packets over UDP"} {
		for seed := range uint64(5) {
			rng := rand.New(rand.NewPCG(seed, 5))
			o := feedback.NewOneWay(0)
			l := &link{rate: step}
			start := time.Unix(1000, 0)
			rate := 5e6
			var lag time.Duration // at 11.5 s
			var low, high float64 // targets, the mean of 12 to 16 s and at 30 s
			worst := time.Duration(0)
			for n := range 30 * 30 {
				at := time.Duration(n) * time.Second / 30
				size := int(rate / 8 / 30 * (0.8 + 0.4*rng.Float64()))
				if n%60 == 0 {
					size *= 3
				}
				var came time.Duration
				if kind == "frames over TCP" {
					came = l.carry(at, size)
					o.Frame(start.Add(came), at+time.Hour, size)
				} else {
					for ; size > 0; size -= 1316 {
						came = l.carry(at, min(size, 1316))
						o.Arrived(start.Add(came), at+time.Hour, min(size, 1316))
					}
				}
				if n >= 12*30 && n < 16*30 { // two groups of pictures: what the target swings by in one evens out
					low += rate / (4 * 30)
				}
				r, ok := o.Report(start.Add(came))
				if !ok {
					t.Fatal("no report")
				}
				rate = min(6e6, float64(r.Target))
				switch {
				case n == 29:
					if rate < 2e6 {
						t.Errorf("%s, seed %d: %v after 1 s of a stream that fits", kind, seed, rate)
					}
				case n == 13*30:
					lag = came - at
				case n > 14*30 && n < 20*30:
					worst = max(worst, came-at)
				case n == 30*30-1:
					high = rate
				}
			}
			if low > 2.2e6 || high < 4e6 {
				t.Errorf("%s, seed %d: target %.1f Mbit/s 2 to 6 s into the step to 2, %.1f at the end; want ≤ 2.2 and ≥ 4", kind, seed, low/1e6, high/1e6)
			}
			if lag > 700*time.Millisecond || worst > 400*time.Millisecond {
				t.Errorf("%s, seed %d: %v late 3 s into the step, then at worst %v", kind, seed, lag, worst)
			}
		}
	}
}

// A timeline that jumps, silence and absurd input change nothing for long.
func TestOneWayJumps(t *testing.T) {
	o := feedback.NewOneWay(0)
	at := time.Unix(1000, 0)
	if _, ok := o.Report(at); ok {
		t.Error("a report before the first packet")
	}
	for i := range 300 {
		stamp := time.Duration(i) * 20 * time.Millisecond
		if i > 150 {
			stamp -= 40 * time.Hour
		}
		o.Arrived(at.Add(time.Duration(i)*20*time.Millisecond), stamp, 1200)
		o.Lost(at.Add(time.Duration(i)*20*time.Millisecond), 1, 1200)
	}
	if r, ok := o.Report(at.Add(6 * time.Second)); !ok || r.Reason == "outage" || r.Target <= 0 {
		t.Errorf("%+v, %v after a jump", r, ok)
	}
	if r, _ := o.Report(at.Add(9 * time.Second)); r.Reason != "outage" {
		t.Errorf("%q after 3 s of silence, want outage", r.Reason)
	}
}
