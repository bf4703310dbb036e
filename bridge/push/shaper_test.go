package push

import (
	"errors"
	"flag"
	"io"
	"net"
	"os"
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
		if i := p.dts / time.Second; p.video && w.s.keep(p.key) {
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
		down   int           // seconds until the encoder is below the target
		late   time.Duration // a picture at most
	}{
		{"kernel buffers that are kept small", 240_000, 3, 4 * time.Second},
		{"kernel buffers as they come on loopback", 2_700_000, 0, 5 * time.Second}, // the encoder notices nothing: docs/push.md
	} {
		w := &obsWorld{rule: encoder.NewOBS(5000, 160), hidden: c.hidden, target: target, shape: true}
		w.run(t, 100*time.Second)
		down := slices.IndexFunc(w.rates[20:50], func(kbit float64) bool { return kbit*1000+160e3 <= target(30*time.Second) })
		up := slices.IndexFunc(w.rates[50:], func(kbit float64) bool { return kbit >= 4800 })
		t.Logf("%s: below the target after %d s (-1: never), late by %v at most, back after %d s, %d pictures dropped", c.name, down, slices.Max(w.lags), up, w.s.skipped)
		if c.down > 0 && (down < 0 || down > c.down || up < 0 || up > 30) {
			t.Errorf("%s: below the target after %d s, want %d; back at 5 Mbit/s after %d s, want 30", c.name, down, c.down, up)
		}
		if worst := slices.Max(w.lags); worst > c.late || w.lags[98] > 10*time.Millisecond {
			t.Errorf("%s: late by %v at most, want %v; by %v in the end", c.name, worst, c.late, w.lags[98])
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
