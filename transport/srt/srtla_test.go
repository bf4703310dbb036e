package srt

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/transport/srt/srtla"
)

// habit is how a sender of SRTLA chooses among links of the same window and flight.
type habit int

const (
	belabox   habit = iota // srtla_send: it does not
	moblin                 // by the user's priority of each link
	irlserver              // less of links that were asked for resends lately, and much less after a burst; extended keepalives
)

func (h habit) String() string { return [...]string{"BELABOX", "Moblin", "irlserver"}[h] }

// bond is a sender of SRTLA with the habits of BELABOX's srtla_send below a caller (srt.md 3.1): a window for each link, the next
// packet to the best ratio of window and what is in flight.
type bond struct {
	habit
	tx   *caller
	legs []*leg
	of   map[uint32]*leg // who carried a sequence number last
	id   []byte
}

type leg struct {
	b        *bond
	end      *sim.End
	out      [][]byte
	window   int
	inFlight int
	up       bool
	heard    time.Time
	spoke    time.Time
	began    bool
	carried  int
	priority float64
	naks     []time.Time
}

// score is the ratio, weighed by habit.
func (l *leg) score(now time.Time) float64 {
	s := float64(l.window) / float64(l.inFlight+1)
	switch {
	case l.b.habit == moblin:
		return s * l.priority
	case l.b.habit != irlserver:
	case len(l.naks) == 0:
		return s * 1.1
	default:
		last := now.Sub(l.naks[len(l.naks)-1]).Seconds()
		s *= 1 - 0.5*math.Exp(-last/2)
		if len(l.naks) >= 5 && now.Sub(l.naks[len(l.naks)-5]) < time.Second {
			s *= 0.7
		}
	}
	return s
}

func newBond(tx *caller, n int) *bond {
	b := &bond{tx: tx, of: map[uint32]*leg{}, id: make([]byte, 256)}
	for range n {
		b.legs = append(b.legs, &leg{b: b, window: 20_000, priority: 1 / float64(1+len(b.legs))})
	}
	return b
}

func (l *leg) HandleDatagram(now time.Time, p []byte) {
	l.heard = now
	kind := binary.BigEndian.Uint16(p)
	switch {
	case kind == 0x9201: // REG2: every link joins with it
		copy(l.b.id, p[2:])
		for _, o := range l.b.legs {
			o.out = append(o.out, append([]byte{0x92, 0x01}, l.b.id...))
		}
	case kind == 0x9202:
		l.up = true
	case kind == 0x9100:
		for p = p[4:]; len(p) >= 4; p = p[4:] {
			if o := l.b.of[binary.BigEndian.Uint32(p)]; o != nil {
				o.inFlight = max(0, o.inFlight-1)
				if o.inFlight*1000 > o.window {
					o.window += 29
				}
			}
		}
		for _, o := range l.b.legs {
			o.window = min(o.window+1, 60_000)
		}
	case kind&0xF000 == 0x9000:
	default:
		if kind == 0x8003 {
			for _, rest, body, ok := NextRange(p[HeaderLen:]); ok; _, rest, body, ok = NextRange(body) {
				if o := l.b.of[rest]; o != nil {
					o.window = max(o.window-100, 1000)
					o.naks = append(o.naks, now)
				}
			}
		}
		l.b.tx.HandleDatagram(now, p)
	}
	l.b.wake()
}

// wake lets every leg send what it has.
func (b *bond) wake() {
	for _, l := range b.legs {
		l.end.Wake()
	}
}

// deal gives what the caller has to the legs.
func (b *bond) deal(now time.Time) {
	for {
		var best *leg
		for _, l := range b.legs {
			if l.up && now.Sub(l.heard) < 4*time.Second && (best == nil || l.score(now) > best.score(now)) {
				best = l
			}
		}
		if best == nil {
			return
		}
		p, ok := b.tx.AppendDatagram(nil, now)
		if !ok {
			return
		}
		if p[0]&0x80 == 0 {
			b.of[binary.BigEndian.Uint32(p)] = best
			best.inFlight++
			best.carried++
		}
		best.out = append(best.out, p)
	}
}

func (l *leg) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	if !l.began {
		l.began, l.heard, l.spoke = true, now, now
		if l == l.b.legs[0] {
			return append(dst, append([]byte{0x92, 0x00}, l.b.id...)...), true
		}
	}
	l.b.deal(now)
	if len(l.out) == 0 && l.up && now.Sub(l.spoke) >= time.Second {
		p := []byte{0x90, 0x00, 1, 2, 3, 4, 5, 6, 7, 8}
		if l.b.habit == irlserver {
			p = append(p, 0xC0, 0x1F, 0, 1)
			p = appendWords(p, 1, uint32(l.window), uint32(l.inFlight), 50, uint32(len(l.naks)), 250_000)
		}
		l.out = append(l.out, p)
	}
	if len(l.out) == 0 {
		return dst, false
	}
	l.spoke = now
	p := l.out[0]
	l.out = l.out[1:]
	return append(dst, p...), true
}

func (l *leg) NextTimeout() time.Time {
	if !l.began {
		return time.Time{}
	}
	return l.spoke.Add(time.Second)
}

// port is the server's end of one link: all share one listener, as behind one socket.
type port struct {
	all   *ports
	end   *sim.End
	queue [][]byte
}

type ports struct {
	s     *server
	front *srtla.Front
	list  []*port
	by    map[netip.AddrPort]*port
	wire  int
}

func (p *port) HandleDatagram(time.Time, []byte) { panic("not called") }

func (p *port) HandleArrival(now time.Time, b []byte, a sim.Arrival) {
	p.all.by[a.From] = p
	p.all.wire += len(b)
	if from, ok := p.all.front.In(now, a.From, b); ok {
		p.all.s.l.HandleDatagram(now, from, b)
	}
	p.all.drive(now)
	p.all.list[0].end.Wake() // which is asked for the next timeout
}

func (a *ports) drive(now time.Time) {
	a.s.drive(now)
	for b, to, ok := a.front.AppendDatagram(nil); ok; b, to, ok = a.front.AppendDatagram(nil) {
		a.send(b, to)
	}
	for _, p := range a.list {
		if len(p.queue) > 0 {
			p.end.Wake()
		}
	}
}

func (a *ports) send(b []byte, to netip.AddrPort) {
	for _, addr := range a.front.Out(nil, to, b) {
		if p := a.by[addr]; p != nil {
			p.queue = append(p.queue, b)
		}
	}
}

func (p *port) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	if len(p.queue) == 0 && p == p.all.list[0] {
		p.all.drive(now)
	}
	if len(p.queue) == 0 {
		return dst, false
	}
	b := p.queue[0]
	p.queue = p.queue[1:]
	return append(dst, b...), true
}

func (p *port) NextTimeout() time.Time {
	if p == p.all.list[0] {
		return p.all.s.l.NextTimeout()
	}
	return time.Time{}
}

func bonded(w *sim.World, tx *caller, cfg Config, paths ...sim.Path) (*run, *bond, *ports) {
	b := newBond(tx, len(paths))
	all := &ports{s: newServer(cfg), front: srtla.New([32]byte{1}), by: map[netip.AddrPort]*port{}}
	all.s.sendTo = all.send
	r := &run{w: w, tx: tx, rx: all.s}
	for range paths {
		all.list = append(all.list, &port{all: all})
	}
	for i, p := range paths {
		link := w.Connect(p, b.legs[i], all.list[i])
		b.legs[i].end, all.list[i].end = link.A, link.B
		if i == 0 {
			r.link = link
		}
	}
	return r, b, all
}

// narrow is a link that cannot carry the stream alone.
func narrow(d time.Duration) sim.Path {
	up := delayed(d)
	up.Rate, up.Limit = 3*netem.Mbit, netem.Limit{Time: 300 * time.Millisecond}
	return sim.Path{Up: up, Down: delayed(d)}
}

// Links of 50 and 150 ms, then three of which one dies: issue 6's floors, with no setting.
func TestSRTLA(t *testing.T) {
	type scene struct {
		why   string
		paths []sim.Path
	}
	var scenes []scene
	for range 3 {
		scenes = append(scenes, []scene{
			{"50 and 150 ms", []sim.Path{narrow(25 * time.Millisecond), narrow(75 * time.Millisecond)}},
			{"one of three dies", []sim.Path{both(delayed(25 * time.Millisecond)), both(delayed(40 * time.Millisecond)), {
				Up:   netem.Config{Delay: netem.Delay{Base: 30 * time.Millisecond}, Schedule: []netem.Step{{At: 4 * time.Second, Kind: netem.StepOutage, For: time.Hour}}},
				Down: netem.Config{Delay: netem.Delay{Base: 30 * time.Millisecond}, Schedule: []netem.Step{{At: 4 * time.Second, Kind: netem.StepOutage, For: time.Hour}}},
			}}},
		}...)
	}
	for i, c := range scenes {
		w := sim.New(1)
		r, b, all := bonded(w, newCaller(7, 1000, "k", 2*time.Second), Config{}, c.paths...)
		b.habit = habit(i / 2)
		c.why = b.habit.String() + ", " + c.why
		r.stream(length())
		w.Run(3 * time.Second)
		ratio := float64(all.wire) / float64(1316*len(r.sent))
		var carried []int
		for _, l := range b.legs {
			carried = append(carried, l.carried)
		}
		s := r.rx.conns[0].Stats()
		t.Logf("%s: wire/goodput %.3f, resends %d, carried %v, %+v", c.why, ratio, r.tx.resends, carried, s)
		if r.missing(t) > 0 || ratio > 1.10 && len(c.paths) == 2 || carried[1] < 100 && b.habit != moblin {
			t.Errorf("%s: missing %.4f %%, wire/goodput %.3f", c.why, 100*r.missing(t), ratio)
		}
	}
}
