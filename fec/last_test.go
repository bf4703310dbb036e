package fec

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/fairlead-live/fairlead/fec/limit"
)

// What Last expects of the packets on their way and of those it sends is what a channel of its kind does.
func TestLastFail(t *testing.T) {
	channel := limit.Channel{Loss: 0.2, Burst: 8}
	for _, c := range []struct {
		flying     []float64
		lost       bool
		n, missing int
	}{
		{nil, true, 9, 1}, {nil, false, 9, 3}, {[]float64{6, 7, 8, 9, 10}, true, 6, 2}, {[]float64{1, 2, 3, 20, 21}, false, 4, 4}, {[]float64{3, 4, 5}, true, 0, 3},
	} {
		l := Last{Channel: channel, Lost: c.lost, Since: 25, Flying: c.flying, Slack: 16, Wire: 0.5}
		var d lastDist
		at := d.flown(&l, len(c.flying))
		got := l.fail(&d, at, c.n, len(c.flying)+c.n-c.missing)

		rng := rand.New(rand.NewPCG(1, 2))
		const runs = 100_000
		fails := 0
		for range runs {
			bad, arrived, last := c.lost, 0, 0.0
			send := func(now float64) {
				from := limit.Dist{1, 0}
				if bad {
					from = limit.Dist{0, 1}
				}
				bad = rng.Float64() < channel.Idle(from, 1+max(0, now-last-l.Wire))[limit.Bad]
				if !bad {
					arrived++
				}
				last = now
			}
			for _, at := range c.flying {
				send(at)
			}
			for i := range c.n {
				send(l.Since + float64(i)*l.Slack/float64(c.n-1))
			}
			if arrived < c.missing {
				fails++
			}
		}
		want := float64(fails) / runs
		if math.Abs(got-want) > 4*math.Sqrt(want*(1-want)/runs)+1e-4 {
			t.Errorf("%+v: %.4f, want %.4f", c, got, want)
		}
	}
}

// Packets that left together are worth less than packets far apart, so that more is sent beside them.
func TestLastSend(t *testing.T) {
	l := Last{Channel: limit.Channel{Loss: 0.2, Burst: 8}, Since: 12, Slack: 24, Wire: 0.4, Most: 60}
	at := func(flying ...float64) int {
		l.Flying = flying
		return l.Send(10, 2)
	}
	none, together, apart := at(), at(10, 10.4, 10.8, 11.2, 11.6, 12), at(2, 4, 6, 8, 10, 12)
	if apart >= together || together >= none || none > l.Most {
		t.Errorf("%d packets beside none, %d beside six in a row, %d beside six far apart: want less each time", none, together, apart)
	}
	l.Flying, l.Most = nil, 3
	if n := l.Send(10, 5); n > 3 {
		t.Errorf("%d packets where 3 fit", n)
	}
	l.Most = 0
	if n := l.Send(10, 1); n != 0 {
		t.Errorf("%d packets where none fits", n)
	}
}

func BenchmarkLast(b *testing.B) {
	b.ReportAllocs()
	l := Last{Channel: limit.Channel{Loss: 0.2, Burst: 8}, Since: 12, Slack: 14, Wire: 0.4, Most: 35, Flying: []float64{1, 2, 3, 4, 5, 6}}
	for b.Loop() {
		l.Send(12, 8)
	}
}
