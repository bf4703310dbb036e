package adapt

import (
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

const latency = 2 * time.Second

// run lets a rule see a round trip and a buffer for d, and sends what it says.
func run(r Rule, from, d, rtt time.Duration, buffered int) (out congestion.Bitrate) {
	for at := from; at < from+d; at += r.Every() {
		out = r.Update(at, Sample{RTT: rtt, Buffered: buffered, SendRate: out, Latency: latency})
	}
	return out
}

func rules() map[string]func(Range) Rule {
	return map[string]func(Range) Rule{
		"belacoder": func(r Range) Rule { return NewBelacoder(r) },
		"moblin":    func(r Range) Rule { return NewMoblinBelabox(r) },
		"fight":     func(r Range) Rule { return NewMoblinFight(r) },
	}
}

func TestRules(t *testing.T) {
	for name, make := range rules() {
		r := make(Range{Min: 300 * congestion.Kbps, Max: 6 * congestion.Mbps})
		calm := run(r, 0, 60*time.Second, 50*time.Millisecond, 20)
		if calm != 6*congestion.Mbps {
			t.Errorf("%s: a calm minute leads to %d, want the most", name, calm)
		}
		queue := run(r, 60*time.Second, 5*time.Second, 900*time.Millisecond, 800)
		if queue > calm/4 {
			t.Errorf("%s: a queue of 900 ms leads to %d of %d", name, queue, calm)
		}
		if again := run(r, 65*time.Second, 60*time.Second, 50*time.Millisecond, 20); again < 2*queue {
			t.Errorf("%s: after the queue it stays at %d", name, again)
		}
	}
}

// belacoder's steps, one by one: 30 kbit/s and a thirtieth each 500 ms; the minimum at once when a third of the latency is gone.
func TestBelacoderSteps(t *testing.T) {
	b := NewBelacoder(Range{Min: 300 * congestion.Kbps, Max: 6 * congestion.Mbps})
	run(b, 0, 10*time.Second, 50*time.Millisecond, 10)
	before := b.bitrate
	run(b, 10*time.Second, 520*time.Millisecond, 50*time.Millisecond, 10)
	if got, want := b.bitrate-before, 30*congestion.Kbps+before/30; got != want {
		t.Errorf("rose by %d, want %d", got, want)
	}
	if got := b.Update(11*time.Second, Sample{RTT: latency / 3, Buffered: 10, Latency: latency}); got != 300*congestion.Kbps {
		t.Errorf("at a third of the latency: %d", got)
	}
}

func TestNoAllocs(t *testing.T) {
	for name, make := range rules() {
		r := make(Range{Min: 300 * congestion.Kbps, Max: 6 * congestion.Mbps})
		if n := testing.AllocsPerRun(100, func() { r.Update(time.Second, Sample{RTT: time.Second, Latency: latency}) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Losses that stay when less is sent are the path's own, and the rate comes back; those that go were ours.
func TestDelayTriesLosses(t *testing.T) {
	for _, c := range []struct {
		why  string
		loss func(rate congestion.Bitrate) float64
		low  congestion.Bitrate
		high congestion.Bitrate
	}{
		{"10 % whatever is sent", func(congestion.Bitrate) float64 { return 0.1 }, 3800 * congestion.Kbps, 6 * congestion.Mbps},
		{"what is above 3 Mbit/s", func(r congestion.Bitrate) float64 { return max(0, 1-3e6/float64(r)) }, 1800 * congestion.Kbps, 3300 * congestion.Kbps},
		{"both", func(r congestion.Bitrate) float64 { return max(0.05, 1-3e6/float64(r)) }, 1600 * congestion.Kbps, 3400 * congestion.Kbps},
	} {
		r := NewDelay(Range{Min: 300 * congestion.Kbps, Max: 6 * congestion.Mbps})
		rate, lost, n, sum := 4*congestion.Mbps, 0.0, 0, congestion.Bitrate(0)
		for at := r.Every(); at < time.Minute; at += r.Every() {
			sent := rate.Bytes(r.Every()) / 1316
			lost += c.loss(rate) * float64(sent)
			s := Sample{RTT: 60e6, Least: 60e6, Latency: 300e6, SendRate: rate, MediaRate: rate, Sent: sent, Lost: int(lost)}
			s.Delivered = congestion.Bitrate((1 - c.loss(rate)) * float64(rate))
			lost -= float64(int(lost))
			if rate = min(r.Update(at, s), 4*congestion.Mbps); at > 20*time.Second {
				sum += rate
				n++
			}
		}
		if mean := sum / congestion.Bitrate(n); mean < c.low || mean > c.high {
			t.Errorf("%s: %d kbit/s in the mean", c.why, mean/1000)
		}
	}
}
