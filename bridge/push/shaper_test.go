package push

import (
	"flag"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/encoder"
	"github.com/fairlead-live/fairlead/congestion"
)

var showShape = flag.Bool("shape", false, "print a line a second of TestShape")

// obsWorld is OBS, the kernel's buffers between it and us as one, and our reading of them, in steps of a millisecond.
type obsWorld struct {
	rule   *encoder.OBS
	hidden int                               // bytes of the kernel's buffers
	target func(time.Duration) (bps float64) // what the path carries
	shape  bool

	queue  []*obsPacket // OBS's own
	pipe   []*obsPacket // taken by the socket, the last one perhaps in part
	inPipe int
	debt   int // what key frames were too big: the pictures after them pay it back
	s      shaper

	lags  []time.Duration // by second of the stream, the most
	rates []float64       // the encoder's at each second, kbit/s
	got   float64         // bytes that were read
}

type obsPacket struct {
	dts             time.Duration
	size, sent, got int
	video, key      bool
	begin           time.Duration
}

func (w *obsWorld) run(t *testing.T, length time.Duration) {
	w.lags = make([]time.Duration, length/time.Second+1)
	for now := time.Duration(0); now < length; now += time.Millisecond {
		ms := int(now / time.Millisecond)
		if w.shape && ms%50 == 0 {
			w.s.retarget(congestion.Bitrate(w.target(now)))
		}
		if ms*30/1000 != (ms-1)*30/1000 {
			w.picture(now, ms*30/1000)
		}
		if ms*47/1000 != (ms-1)*47/1000 {
			w.queue = append(w.queue, &obsPacket{dts: now, size: 425}) // 160 kbit/s
		}
		w.send(now)
		w.read(now)
		if ms%1000 == 0 {
			w.rates = append(w.rates, float64(w.rule.Bitrate()))
			if *showShape {
				t.Logf("%5v target %.2f encoder %.2f stream %.2f %v queued %d lag %v", now, w.target(now)/1e6, float64(w.rule.Bitrate())/1e3,
					w.s.rate()/1e6, w.s.state, len(w.queue), w.lags[max(0, int(now/time.Second)-1)])
			}
		}
	}
}

// picture is the encoder: constant bitrate, a key frame every 2 s.
func (w *obsWorld) picture(now time.Duration, n int) {
	var first, last time.Duration
	have := false
	for _, p := range w.queue {
		if p.video {
			if last = p.dts; !have && !p.key {
				first, have = p.dts, true
			}
		}
	}
	size := w.rule.Video(now, len(w.queue), last-first, have) * 1000 / 8 / 30
	p := &obsPacket{dts: now, size: size, video: true, key: n%60 == 0}
	if p.key {
		p.size, w.debt = size*3, size*2
	} else {
		back := min(w.debt, size/8)
		p.size -= back
		w.debt -= back
	}
	w.queue = append(w.queue, p)
}

// send is OBS's send_thread.
func (w *obsWorld) send(now time.Duration) {
	for len(w.queue) > 0 && w.inPipe < w.hidden {
		p := w.queue[0]
		if p.sent == 0 {
			w.pipe = append(w.pipe, p)
			if p.begin == 0 {
				p.begin = now
			}
		}
		n := min(p.size-p.sent, w.hidden-w.inPipe)
		p.sent += n
		w.inPipe += n
		if p.sent < p.size {
			return
		}
		w.rule.Sent(p.begin, now, p.size)
		if w.queue = w.queue[1:]; len(w.queue) > 0 {
			w.queue[0].begin = now
		}
	}
}

// read is what rtmpserver does with a shaped connection.
func (w *obsWorld) read(now time.Duration) {
	at := time.Unix(1000, 0).Add(now)
	budget := 1 << 20
	if w.shape {
		budget, _ = w.s.take(at, 32<<10)
	}
	for budget > 0 && len(w.pipe) > 0 {
		p := w.pipe[0]
		n := min(budget, p.sent-p.got)
		p.got += n
		w.inPipe -= n
		budget -= n
		w.got += float64(n)
		w.s.read(n)
		if p.got < p.size {
			return
		}
		w.s.media(at, p.dts, p.size)
		if i := p.dts / time.Second; p.video {
			w.lags[i] = max(w.lags[i], now-p.dts)
		}
		w.pipe = w.pipe[1:]
	}
}

// The hypothesis of shaped reading, on a model of OBS: link 6 → 2 → 6 Mbit/s, the encoder at 5.
func TestShape(t *testing.T) {
	target := func(at time.Duration) float64 {
		if at >= 20*time.Second && at < 50*time.Second {
			return 0.9 * 2e6
		}
		return 0.9 * 6e6
	}
	for _, c := range []struct {
		name   string
		hidden int
	}{{"kernel buffers kept small", 75_000}, {"kernel buffers as they come on loopback", 2_700_000}} {
		w := &obsWorld{rule: encoder.NewOBS(5000, 160), hidden: c.hidden, target: target, shape: true}
		w.run(t, 100*time.Second)
		lags := slices.Clone(w.lags[28:50])
		slices.Sort(lags)
		down := 20
		for i := 20; i < 50; i++ {
			if w.rates[i]*1000+160e3 > target(30*time.Second)*1.02 {
				down = i + 1
			}
			if w.rates[i]*1000+160e3 <= target(30*time.Second)*1.02 && down == i {
				break
			}
		}
		up := slices.IndexFunc(w.rates[50:], func(r float64) bool { return r >= 4800 })
		t.Logf("%s: below the target after %d s; late by %v at most, %v (median of seconds) from 8 s after the step on; %v in the last seconds; back at 5 Mbit/s after %d s",
			c.name, down-20, slices.Max(w.lags), lags[len(lags)/2], slices.Max(w.lags[95:99]), up)
	}
}
