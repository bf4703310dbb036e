package session

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/arq"
	"github.com/fairlead-live/fairlead/transport/srtp"
)

// world drives one sender and one receiver in virtual time. The same seed gives the same run.
type world struct {
	t        testing.TB
	now      time.Duration
	tx       *Sender
	rx       *Receiver
	up, down path
	events   delivery
	n        int
	seed     uint64
	rng      *rand.Rand

	source             source
	frames             int64
	refused            int
	got                []gotFrame
	sounds, soundsMade int
	noPlans            bool   // as with a shell that has no time
	wire               int    // bytes up, IP and UDP included
	back               int    // bytes down
	media              int    // bytes written
	kinds              [2]int // of wire: resends, repairs
	buf                []byte
	onUp               func(b []byte)             // sees each datagram the receiver gets
	onLoss             func(d time.Duration)      // how long after its arrival would have been known a loss was
	gone               map[int64]time.Duration    // packets lost on the way up, and when that would have been
	onPassed           func(p *transport.Payload) // gets each frame of MPEG-TS
	onReport           func()                     // after each that the sender gets
}

type gotFrame struct {
	capture, at time.Duration
	arrival     time.Duration // of its last packet
	key         bool
}

// path says when a datagram of size bytes arrives, or that it does not.
type path interface {
	admit(now time.Duration, size int) (at time.Duration, ok bool)
}

type flight struct {
	at   time.Duration
	n    int
	up   bool
	data []byte
}

type delivery []flight

func (d delivery) Len() int { return len(d) }
func (d delivery) Less(i, j int) bool {
	return d[i].at < d[j].at || d[i].at == d[j].at && d[i].n < d[j].n
}
func (d delivery) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *delivery) Push(x any)   { *d = append(*d, x.(flight)) }
func (d *delivery) Pop() any {
	old := *d
	x := old[len(old)-1]
	*d = old[:len(old)-1]
	return x
}

// source makes video frames: key every keyEvery frames of keyRatio times the mean, the others with a spread.
type source struct {
	bitrate   congestion.Bitrate
	fps       int
	keyEvery  int
	keyRatio  float64
	spread    float64 // relative standard deviation of the others
	sound     bool    // 100 bytes with each picture
	droppable int     // nothing refers to every so many-th; 0: all are referred to
	data      []byte
}

func video4M() source {
	return source{bitrate: 4 * congestion.Mbps, fps: 30, keyEvery: 60, keyRatio: 4, spread: 0.2}
}

func (s *source) size(rng *rand.Rand, n int64) (size int, key bool) {
	mean := float64(s.bitrate) / 8 / float64(s.fps)
	if n%int64(s.keyEvery) == 0 {
		return int(mean * s.keyRatio), true
	}
	rest := mean * (float64(s.keyEvery) - s.keyRatio) / float64(s.keyEvery-1)
	return max(64, int(rest*(1+s.spread*max(-2, min(2, rng.NormFloat64()))))), false
}

// line is a link with a rate, a delay and a loss process; the loss comes first, as in bench/netem.
type line struct {
	rate  congestion.Bitrate
	delay time.Duration
	room  time.Duration // of queue; 0: without end
	loss  *gilbert
	busy  time.Duration
	dead  func(now time.Duration) bool
}

func (l *line) admit(now time.Duration, size int) (time.Duration, bool) {
	if l.dead != nil && l.dead(now) {
		return 0, false
	}
	lost := l.loss.lost(now)
	if l.room > 0 && l.busy > now+l.room {
		return 0, false
	}
	l.busy = max(l.busy, now) + l.rate.Time(size)
	return l.busy + l.delay, !lost
}

// reportBytes is a report of few packets, IP and UDP included.
const reportBytes = 100

// gilbert loses all in its bad state, whose mean length is burst packets; it steps once a packet, and
// once a slot of 2.38 ms while idle: the channel of ../shared/limits (fec.md §2.1).
type gilbert struct {
	p, burst float64
	rng      *rand.Rand
	bad      bool
	last     time.Duration
	sent     int
	gone     int
}

const channelSlot = 2380 * time.Microsecond

func newGilbert(p, burst float64, seed uint64) *gilbert {
	g := &gilbert{p: p, burst: burst, rng: rand.New(rand.NewPCG(seed, 77))}
	g.bad = g.rng.Float64() < p
	return g
}

func (g *gilbert) step() {
	if g.burst == 0 {
		g.bad = g.rng.Float64() < g.p
		return
	}
	leave := 1 / g.burst
	if g.bad {
		g.bad = g.rng.Float64() >= leave
	} else {
		g.bad = g.rng.Float64() < leave*g.p/(1-g.p)
	}
}

func (g *gilbert) lost(now time.Duration) bool {
	if g == nil || g.p == 0 {
		return false
	}
	if g.burst > 0 {
		for range min(1000, int((now-g.last)/channelSlot)-1) {
			g.step()
		}
	}
	g.last = now
	g.step()
	g.sent++
	if g.bad {
		g.gone++
	}
	return g.bad
}

var epoch = time.Unix(1_700_000_000, 0)

func masterKeys(n byte) (k srtp.Keys) {
	for i := range k.Key {
		k.Key[i] = n + byte(i)
	}
	return k
}

// newWorld makes a world; cfg is for both ends.
func newWorld(t testing.TB, seed uint64, cfg Config, up, down path, src source) *world {
	t.Helper()
	w := &world{t: t, up: up, down: down, seed: seed, source: src, rng: rand.New(rand.NewPCG(seed, 5))}
	var err error
	seal := func(n byte) *srtp.Sealer {
		s, err := srtp.NewSealer(masterKeys(n))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	open := func(n byte) *srtp.Opener {
		o := srtp.NewOpener()
		if err := o.SetKeys(0, masterKeys(n)); err != nil {
			t.Fatal(err)
		}
		return o
	}
	txc, rxc := cfg, cfg
	txc.Seal, txc.Open = seal(1), open(2)
	rxc.Seal, rxc.Open = seal(2), open(1)
	if w.tx, err = NewSender(epoch, txc); err != nil {
		t.Fatal(err)
	}
	// The receiver's clock is another one: an hour and a bit ahead.
	if w.rx, err = NewReceiver(epoch.Add(-3601*time.Second), rxc); err != nil {
		t.Fatal(err)
	}
	w.source.data = make([]byte, 1<<20)
	w.buf = make([]byte, 0, 2048)
	return w
}

func (w *world) at() time.Time { return epoch.Add(w.now) }

// run goes on for d of virtual time, writing frames if src is true.
func (w *world) run(d time.Duration, src bool) {
	end := w.now + d
	for {
		next := end
		if src {
			next = min(next, w.frameTime(w.frames))
		}
		if len(w.events) > 0 {
			next = min(next, w.events[0].at)
		}
		for _, at := range []time.Time{w.tx.NextTimeout(), w.rx.NextTimeout()} {
			if !at.IsZero() {
				next = min(next, at.Sub(epoch))
			}
		}
		if next >= end {
			w.now = end
			w.drain()
			return
		}
		if next <= w.now {
			w.n++
			if w.n > 200_000 {
				w.t.Fatalf("seed %d: stuck at %v: tx %v rx %v", w.seed, w.now, w.tx.NextTimeout().Sub(epoch), w.rx.NextTimeout().Sub(epoch))
			}
		} else {
			w.n = 0
		}
		w.now = max(w.now, next)
		if src && w.frameTime(w.frames) <= w.now {
			w.write()
		}
		for len(w.events) > 0 && w.events[0].at <= w.now {
			f := heap.Pop(&w.events).(flight)
			if f.up {
				if w.onUp != nil {
					w.onUp(f.data)
				}
				w.rx.HandleDatagram(w.at(), f.data)
			} else {
				w.tx.HandleDatagram(w.at(), f.data)
				if w.onReport != nil {
					w.onReport()
				}
				for _, e := range w.tx.events {
					if at, ok := w.gone[e.Sequence]; ok && e.Outcome == arq.Lost && w.onLoss != nil {
						w.onLoss(w.now - at)
					}
				}
			}
			w.drain()
		}
		w.drain()
	}
}

func (w *world) frameTime(n int64) time.Duration {
	return time.Duration(n) * time.Second / time.Duration(w.source.fps)
}

func (w *world) write() {
	size, key := w.source.size(w.rng, w.frames)
	f := transport.Frame{Codec: transport.H264, DTS: w.now, PTS: w.now, Capture: w.at(), Data: w.source.data[:size]}
	if key {
		f.Flags |= transport.Key
	}
	if d := w.source.droppable; !key && d > 0 && w.frames%int64(d) == int64(d)-1 {
		f.Flags |= transport.Droppable
	}
	f.Data[0] = byte(w.frames)
	if err := w.tx.WriteFrame(w.at(), &f); err != nil {
		w.refused++
	}
	w.media += size
	w.frames++
	if w.source.sound {
		w.soundsMade++
		_ = w.tx.WriteFrame(w.at(), &transport.Frame{Codec: transport.AAC, Track: 1, DTS: w.now, PTS: w.now, Data: w.source.data[:100]})
	}
	w.drain()
}

// plans are shared between worlds: each takes some 10 ms, and ten times that under the race detector.
var plans = map[fec.Setting]*fec.Plan{}

// morePlans lets a test that needs plans of its own have some whatever the tests before it took.
func morePlans() { planMost = len(plans) + 25 }

var planMost = 60

// plan computes what a sender wants, as a shell does in another goroutine. After some it stops doing so, soon with -short:
// then older plans serve, as with a shell that has no time.
func plan(tx *Sender) {
	setting, ok := tx.PlanWanted()
	if !ok {
		return
	}
	if plans[setting] == nil {
		if most := map[bool]int{true: 12, false: planMost}[testing.Short()]; len(plans) >= most && !*gridAll {
			return
		}
		plans[setting] = fec.NewPlan(setting)
	}
	tx.AddPlan(plans[setting])
}

// drain is the driving rule. Plans are there at once.
func (w *world) drain() {
	if !w.noPlans {
		plan(w.tx)
	}
	for {
		before := w.tx.stats
		b, ok := w.tx.AppendDatagram(w.buf[:0], w.at())
		if !ok {
			break
		}
		if w.tx.stats.Resends > before.Resends {
			w.kinds[0] += len(b) + ipUDP
		}
		if w.tx.stats.Repairs > before.Repairs {
			w.kinds[1] += len(b) + ipUDP
		}
		if len(b) > w.tx.cfg.MTU {
			w.t.Fatalf("a datagram of %d bytes", len(b))
		}
		w.wire += len(b) + ipUDP
		w.carry(w.up, b, true)
	}
	for {
		b, ok := w.rx.AppendDatagram(w.buf[:0], w.at())
		if !ok {
			break
		}
		w.back += len(b) + ipUDP
		w.carry(w.down, b, false)
	}
	for {
		p, ok := w.rx.PopPayload(w.at())
		if !ok {
			break
		}
		w.check(&p)
	}
}

func (w *world) carry(p path, b []byte, up bool) {
	at, ok := p.admit(w.now, len(b)+ipUDP)
	if !ok {
		if back, is := w.down.(*line); up && is && w.onLoss != nil {
			if w.gone == nil {
				w.gone = map[int64]time.Duration{}
			}
			w.gone[w.tx.tracker.Next()-1] = at + back.delay + back.rate.Time(reportBytes)
		}
		return
	}
	f := flight{at: at, n: w.nextFlight(), up: up, data: append([]byte(nil), b...)}
	heap.Push(&w.events, f)
}

var flights int

func (w *world) nextFlight() int { flights++; return flights }

// check holds each frame against what was written: in order, not twice, whole.
func (w *world) check(p *transport.Payload) {
	if p.Codec == transport.Passthrough {
		w.onPassed(p)
		return
	}
	if p.Codec.IsAudio() {
		w.sounds++
		return
	}
	at := p.DTS
	if n := len(w.got); n > 0 && w.got[n-1].capture >= at {
		w.t.Fatalf("seed %d: frame of %v after that of %v", w.seed, at, w.got[n-1].capture)
	}
	w.got = append(w.got, gotFrame{capture: at, at: w.now, arrival: p.Arrival.Sub(epoch), key: p.Flags.Has(transport.Key)})
	n := int64((at*time.Duration(w.source.fps) + time.Second/2) / time.Second)
	if p.Data[0] != byte(n) {
		w.t.Fatalf("seed %d: frame %d has the data of another", w.seed, n)
	}
	if late := w.now - w.rxDue(p); late > time.Millisecond { // a lower delay moves deadlines by 2 % of the time
		w.t.Fatalf("seed %d: frame %d released %v after its deadline", w.seed, n, late)
	}
}

func (w *world) rxDue(p *transport.Payload) time.Duration { return p.Deadline.Sub(epoch) }

// sum checks the sum rule.
func (w *world) sum() transport.Stats {
	w.t.Helper()
	s := transport.Combine(w.tx.Stats(), w.rx.Stats())
	if err := s.Check(); err != nil {
		w.t.Errorf("seed %d: %v", w.seed, err)
	}
	return s
}

func (w *world) String() string {
	s := transport.Combine(w.tx.Stats(), w.rx.Stats())
	return fmt.Sprintf("%+v", s)
}
