package rtmpserver

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bench/tier"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmpout"
)

// In steady state a picture and its sound cost no memory on their whole way: read from the publisher's socket, parsed, cached, queued and written to
// a destination's.
func TestAFramesWayCostsNoAllocation(t *testing.T) {
	addr, got := tier.Counting(t)
	b := start(t, Config{})
	out, err := rtmpout.New(rtmpout.Config{Hub: b.hub, Stream: "live/a", URL: rtmpout.Fixed("rtmp://" + addr + "/live/a")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = out.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	c, err := dial(t, b, "live/a", false)
	if err != nil {
		t.Fatal(err)
	}
	const runs = 60
	n := 0
	next := func() []byte { // the bytes of a picture and its sound
		frames := picture(n)
		frames[0].Payload = media.AppendNAL(nil, slices.Concat(frames[0].Payload[4:11], make([]byte, 5000)))
		n++
		var p []byte
		for _, f := range frames {
			for _, v := range c.frame.AppendFrame(nil, f, configs) {
				p = append(p, v...)
			}
			c.frame.Flushed()
		}
		return p
	}
	send := func(p []byte) {
		if _, err := c.nc.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	need.Until(t, "the destination has media", func() bool {
		send(next())
		time.Sleep(time.Millisecond)
		return got.Load() > 0 && out.Stats().State == rtmpout.Publishing
	})
	var all [][]byte
	for range runs + 100 {
		all = append(all, next())
	}
	i := 0
	step := func() {
		before := got.Load()
		send(all[i])
		i++
		for end := time.Now().Add(need.Patience); got.Load() < before+5000; {
			if runtime.Gosched(); time.Now().After(end) {
				t.Fatal("a picture does not come")
			}
		}
	}
	for range 90 {
		step()
	}
	if allocs := testing.AllocsPerRun(runs, step); allocs != 0 && !raceEnabled {
		t.Errorf("%v allocations for a picture and its sound", allocs)
	}
}
