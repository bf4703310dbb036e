package push

import (
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/encoder"
	"github.com/fairlead-live/fairlead/bridge/stutter"
	"github.com/fairlead-live/fairlead/congestion"
)

var showShape = flag.Bool("shape", false, "print a line a second of TestShape")

// obsWorld is OBS, the kernel's buffers between it and us as one, our reading of them, a link behind us and its viewer, in steps of a
// millisecond. What is told of the link is late, has what waits taken off, and is wrong by up to a fifth, anew each half second: as seen live.
type obsWorld struct {
	rule   *encoder.OBS
	hidden int                               // bytes of the kernel's buffers
	link   func(time.Duration) (bps float64) // what the path carries
	rng    *rand.Rand

	queue  []*obsPacket // OBS's own
	pipe   []*obsPacket // taken by the socket, the last one perhaps in part
	inPipe int
	debt   int // what key frames were too big: the pictures after them pay it back
	s      shaper

	free     time.Duration // when the link has carried what it was given
	wrong    float64       // factor of what is told of it
	waiting  []obsArrival
	pictures *stutter.Meter
	lags     []time.Duration // by second of the stream, the most
	rates    []float64       // the encoder's at each second, kbit/s
	got      float64         // bytes that were read
}

type obsArrival struct {
	at time.Duration
	f  stutter.Frame
}

// told is what the controller says the link carries.
func (w *obsWorld) told(now time.Duration) float64 {
	if w.wrong == 0 || now%(500*time.Millisecond) == 0 {
		w.wrong = 0.8 + 0.4*w.rng.Float64()
	}
	c := w.link(max(0, now-150*time.Millisecond))
	return max(100e3, 0.9*w.wrong*c-float64(max(0, w.free-now))/float64(500*time.Millisecond)*c)
}

// carry gives the link a message.
func (w *obsWorld) carry(now time.Duration, p *obsPacket, keep bool) {
	if keep {
		w.free = max(now, w.free) + time.Duration(float64(p.size)*8*1.06/w.link(now)*float64(time.Second))
	}
	if p.video && keep {
		w.waiting = append(w.waiting, obsArrival{w.free, stutter.Frame{Seq: int64(p.n), DTS: p.dts, Key: p.key, Size: p.size, Capture: p.dts}})
	}
}

type obsPacket struct {
	dts             time.Duration
	size, sent, got int
	video, key      bool
	n               int // of the picture
	begin           time.Duration
}

func (w *obsWorld) run(t *testing.T, length time.Duration) *stutter.Player {
	w.lags = make([]time.Duration, length/time.Second+1)
	var source []stutter.Frame
	for n := range int(length/time.Second) * 30 {
		at := time.Duration((n*1000+29)/30) * time.Millisecond
		source = append(source, stutter.Frame{Seq: int64(n), DTS: at, Key: n%60 == 0, Capture: at})
	}
	w.pictures = stutter.NewMeter(stutter.Config{Source: source, Buffers: []time.Duration{stutter.Headline}})
	for now := time.Duration(0); now < length; now += time.Millisecond {
		ms := int(now / time.Millisecond)
		if ms%50 == 0 {
			w.s.retarget(congestion.Bitrate(w.told(now)))
		}
		if ms*30/1000 != (ms-1)*30/1000 {
			w.picture(now, ms*30/1000)
		}
		if ms*47/1000 != (ms-1)*47/1000 {
			w.queue = append(w.queue, &obsPacket{dts: now, size: 425}) // 160 kbit/s
		}
		w.send(now)
		w.read(now)
		for len(w.waiting) > 0 && w.waiting[0].at <= now {
			w.pictures.Observe(w.waiting[0].f, now)
			w.waiting = w.waiting[1:]
		}
		if ms%1000 == 0 {
			w.rates = append(w.rates, float64(w.rule.Bitrate()))
			if *showShape {
				t.Logf("%5v link %.2f told %.2f encoder %.2f stream %.2f %v queued %d lag %v, link behind %v", now, w.link(now)/1e6, float64(w.s.target)/1e6, float64(w.rule.Bitrate())/1e3,
					w.s.rate()/1e6, w.s.state, len(w.queue), w.lags[max(0, int(now/time.Second)-1)], max(0, w.free-now))
			}
		}
	}
	score := w.pictures.Score(length)
	return &score.Players[0]
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
	p := &obsPacket{dts: now, size: size, video: true, key: n%60 == 0, n: n}
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
	budget, _ := w.s.take(at, 32<<10)
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
		keep := !p.video || w.s.keep(p.key)
		if i := p.dts / time.Second; p.video && keep {
			w.lags[i] = max(w.lags[i], now-p.dts)
		}
		w.carry(now, p, keep)
		w.pipe = w.pipe[1:]
	}
}

// The hypothesis of shaped reading, on a model of OBS: link 6 → 2 → 6 Mbit/s, the encoder at 5. Each picture that is late, or dropped, shows
// in the viewer's stalls.
func TestShape(t *testing.T) {
	link := func(at time.Duration) float64 {
		if at >= 20*time.Second && at < 50*time.Second {
			return 2e6
		}
		return 6e6
	}
	const length = 100 * time.Second
	for _, c := range []struct {
		name   string
		hidden int
		stalls time.Duration // of 100 s
		whole  bool          // no picture is dropped, and the encoder has followed
	}{
		{"a socket of 64 kB", 64_000, 3 * time.Second, true},
		{"what Linux keeps of our small window", 180_000, 4 * time.Second, true},
		{"the same and some", 240_000, 4500 * time.Millisecond, true},
		{"BBR at the encoder", 1_200_000, 25 * time.Second, false},
		{"buffers as they come on loopback: the encoder hardly notices", 2_700_000, 35 * time.Second, false}, // docs/push.md
	} {
		for seed := range uint64(6) {
			w := &obsWorld{rule: encoder.NewOBS(5000, 160), hidden: c.hidden, link: link, rng: rand.New(rand.NewPCG(100+seed, 0))}
			p := w.run(t, length)
			down := slices.IndexFunc(w.rates[20:50], func(kbit float64) bool { return kbit*1000+160e3 <= link(30*time.Second) })
			up := slices.IndexFunc(w.rates[50:], func(kbit float64) bool { return kbit >= 4800 })
			t.Logf("%s, %d kB, seed %d: %d stalls, %v, longest %v; below the link after %d s (-1: never), late by %v at most, back after %d s, %d pictures dropped, %.2f Mbit/s read",
				c.name, c.hidden/1000, seed, p.Stalls, p.StallTime, p.Longest, down, slices.Max(w.lags), up, w.s.skipped, w.got*8/length.Seconds()/1e6)
			if p.StallTime > c.stalls {
				t.Errorf("%s, seed %d: stalled for %v, want %v at most", c.name, seed, p.StallTime, c.stalls)
			}
			if c.whole && (down < 0 || down > 3 || up < 0 || up > 35 || w.s.skipped > 0) {
				t.Errorf("%s, seed %d: below the link after %d s, want 3; back at 5 Mbit/s after %d s, want 35; %d pictures dropped", c.name, seed, down, up, w.s.skipped)
			}
			if worst := slices.Max(w.lags); worst > shapeLost+time.Second || w.lags[98] > 300*time.Millisecond {
				t.Errorf("%s, seed %d: late by %v at most, by %v in the end", c.name, seed, worst, w.lags[98])
			}
		}
	}
}

// A connection is read no faster than the shaper says, and one that fits is not held back.
func TestShapedConn(t *testing.T) {
	h := &shaping{}
	l, err := h.listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	go func() {
		b := make([]byte, 4096)
		for {
			if _, err := near.Write(b); err != nil {
				return
			}
		}
	}()
	b := make([]byte, 32<<10)
	if n, err := io.ReadFull(far, b); n != len(b) || err != nil { // no target yet
		t.Fatal(n, err)
	}
	h.retarget(800_000)
	began, got := time.Now(), 0
	_ = far.SetReadDeadline(began.Add(700 * time.Millisecond))
	for err == nil {
		var n int
		n, err = far.Read(b)
		got += n
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if most := int(1.03 * 100_000 * (time.Since(began) + shapeBurst).Seconds()); got > most || got < shapeLeast {
		t.Errorf("%d bytes read in %v of 800 kbit/s, want at most %d", got, time.Since(began), most)
	}
}

// What the shaper drops shows in the status of every output.
func TestStatusTellsSkippedPictures(t *testing.T) {
	p, err := New(Config{Input: "rtmp://127.0.0.1:0/live/obs", URLs: []string{"rtmp://127.0.0.1:1/live/a", "rtmp://127.0.0.1:1/live/b"}, Encoder: Encoder{Shape: true}})
	if err != nil {
		t.Fatal(err)
	}
	p.input.(*listening).shape.s.skipped = 7
	for i, s := range p.Status() {
		if s.Skipped != 7 {
			t.Errorf("output %d: %d skipped pictures, want 7", i, s.Skipped)
		}
	}
}
