package sim

import (
	"fmt"
	"hash/crc32"
	"net/netip"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// Node follows the driving rule: after every input AppendDatagram is drained, and then it is left
// alone until NextTimeout.
type Node interface {
	HandleDatagram(now time.Time, b []byte)                  // borrows b
	AppendDatagram(dst []byte, now time.Time) ([]byte, bool) // false: nothing to send
	NextTimeout() time.Time                                  // zero: nothing scheduled
}

// Arrival is what a socket knows about a datagram besides its bytes.
type Arrival struct {
	From netip.AddrPort
	CE   bool      // congestion experienced
	At   time.Time // on the node's clock; before now where the node stood still, zero where it did not
}

// Time is when it arrived, by the node's clock.
func (a *Arrival) Time(now time.Time) time.Time {
	if a.At.IsZero() {
		return now
	}
	return a.At
}

// ArrivalHandler is a Node that wants to know; HandleDatagram is then not called.
type ArrivalHandler interface {
	HandleArrival(now time.Time, b []byte, a Arrival) // borrows b
}

// Path is both directions of a link: Up leads from A to B.
type Path struct{ Up, Down netem.Config }

// HeaderBytes is what a link counts on top of a datagram: IPv4 and UDP.
const HeaderBytes = 28

// Link joins two nodes.
type Link struct {
	Name string // "link0", "link1", …
	A, B *End
}

// End is one end of a link.
type End struct {
	Name string // "link0/a"
	// OnWake, if set, is called each time the node has been given something and has sent what it
	// had: the place to pop payloads. What it makes the node send goes out at once.
	OnWake func(now time.Time)

	w      *World
	link   *Link
	node   Node
	taker  ArrivalHandler
	peer   *End
	dir    netem.Direction
	out    *netem.Link
	n      uint64
	addr   netip.AddrPort // before any handover
	path   uint32
	offset time.Duration
	ppm    float64
	loop   *standing // nil: it never stands still
	way    *standing // the link that leads away

	timerAt  time.Duration // of the pending timer
	timerGen uint64
	pending  bool
	spins    int
	spinAt   time.Duration
	buf      []byte
	driving  bool
	again    bool
}

// Connect joins two nodes by a link and wakes both now. The first link's ends have the addresses
// 10.0.0.1:1000 and 10.0.0.2:2000, the next one's are in 10.0.1.0, and so on; the sender of media is A.
func (w *World) Connect(p Path, a, b Node) *Link {
	i := len(w.links)
	l := &Link{Name: fmt.Sprintf("link%d", i)}
	end := func(node Node, name string, dir netem.Direction, c netem.Config, host byte, port uint16) *End {
		e := &End{
			Name: l.Name + "/" + name, w: w, link: l, node: node, dir: dir,
			// Each link has its own streams.
			out:  netem.NewLink(c, w.seed+uint64(i)*0x9E3779B97F4A7C15, dir),
			addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), host}), port),
		}
		e.taker, _ = node.(ArrivalHandler)
		return e
	}
	l.A = end(a, "a", netem.Up, p.Up, 1, 1000)
	l.B = end(b, "b", netem.Down, p.Down, 2, 2000)
	l.A.peer, l.B.peer = l.B, l.A
	w.links = append(w.links, l)
	w.At(w.now, l.A.Wake)
	w.At(w.now, l.B.Wake)
	return l
}

// Addr returns the end's address, which changes with each handover of its outgoing direction.
func (e *End) Addr() netip.AddrPort { return e.addrOf(e.path) }

func (e *End) addrOf(path uint32) netip.AddrPort {
	if path == 0 {
		return e.addr
	}
	a := e.addr.Addr().As4()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{a[0], byte(path), a[2], a[3]}), e.addr.Port()+uint16(path))
}

// Counters returns those of the direction that leads away from this end.
func (e *End) Counters() netem.Counters { return e.out.Counters() }

// SetClock makes the node see a clock that is ahead by offset and fast by ppm.
func (e *End) SetClock(offset time.Duration, ppm float64) { e.offset, e.ppm = offset, ppm }

// Now returns the time on the node's clock.
func (e *End) Now() time.Time { return e.clock(e.w.now) }

func (e *End) clock(t time.Duration) time.Time {
	return Epoch.Add(e.offset + t + time.Duration(e.ppm*float64(t)/1e6))
}

// worldTime is the first time at which the node's clock is not before t.
func (e *End) worldTime(t time.Time) time.Duration {
	d := t.Sub(Epoch) - e.offset
	if e.ppm == 0 {
		return d
	}
	at := time.Duration(float64(d) / (1 + e.ppm/1e6))
	for e.clock(at).Before(t) {
		at++
	}
	return at
}

// Wake drives the node: call it after giving it something by hand.
func (e *End) Wake() {
	if e.driving { // from OnWake or from within the node
		e.again = true
		return
	}
	if at := e.loop.over(e.w.now); at > e.w.now {
		e.w.At(at+readFirst, e.Wake)
		return
	}
	e.driving = true
	for {
		e.again = false
		for e.send() {
		}
		if e.OnWake == nil {
			break
		}
		e.OnWake(e.Now())
		if !e.send() && !e.again {
			break
		}
	}
	e.driving = false
	e.arm()
}

// send takes one datagram from the node and gives it to the link.
func (e *End) send() bool {
	b, ok := e.node.AppendDatagram(e.buf[:0], e.Now())
	if !ok {
		return false
	}
	e.buf = b
	w := e.w
	v := netem.Verdict{Dir: e.dir, N: e.n, At: e.way.over(w.now), Size: len(b) + HeaderBytes}
	e.n++
	v.Deliver, v.Fate = e.out.Admit(v.At, v.Size)
	e.path = v.Fate.Path
	w.verdict(e.link, &v)
	if v.Fate.Drop != netem.Delivered {
		return true
	}
	e.deliver(b, v.Deliver, &v.Fate)
	if v.Fate.Duplicated {
		e.deliver(b, v.Fate.CopyAt, &v.Fate)
	}
	return true
}

func (e *End) deliver(b []byte, at time.Duration, f *netem.Fate) {
	data := append(e.w.buffer(), b...)
	if f.Corrupted && len(data) > 0 {
		bit := f.CorruptBit % (8 * len(data))
		data[bit/8] ^= 0x80 >> (bit % 8)
	}
	e.w.push(event{at: at, end: e.peer, data: data, path: f.Path, ce: f.Marked})
}

func (w *World) verdict(l *Link, v *netem.Verdict) {
	w.note(uint64(v.Dir)<<63 | uint64(v.Fate.Drop)<<56 | v.N)
	w.note(uint64(v.At))
	w.note(uint64(v.Deliver) ^ uint64(v.Size)<<48)
	w.recent.ring[w.recent.n%len(w.recent.ring)] = *v
	w.recent.link[w.recent.n%len(w.recent.link)] = l
	w.recent.n++
	if w.OnVerdict != nil {
		w.OnVerdict(l, *v)
	}
}

// receive hands a packet to the node.
func (e *End) receive(ev event) {
	if at := e.loop.over(e.w.now); at > e.w.now {
		if !ev.waited {
			ev.came, ev.waited = ev.at, true
		}
		ev.at = at
		e.w.push(ev)
		return
	}
	e.w.note(uint64(crc32.ChecksumIEEE(ev.data))<<32 | uint64(len(ev.data)))
	if e.taker != nil {
		a := Arrival{From: e.peer.addrOf(ev.path), CE: ev.ce}
		if ev.waited {
			a.At = e.clock(ev.came)
		}
		e.taker.HandleArrival(e.Now(), ev.data, a)
	} else {
		e.node.HandleDatagram(e.Now(), ev.data)
	}
	e.w.release(ev.data)
	if ev.waited {
		e.w.At(e.w.now+readFirst, e.Wake)
		return
	}
	e.Wake()
}

func (e *End) timer(ev event) {
	if ev.timer != e.timerGen {
		return // another one was set since
	}
	e.pending = false
	e.Wake()
}

// maxSpins is how often a node may be due again without time passing before that is a fault.
const maxSpins = 1000

// arm sets the timer for the node's NextTimeout.
func (e *End) arm() {
	t := e.node.NextTimeout()
	if t.IsZero() {
		e.pending = false
		e.timerGen++
		return
	}
	at := max(e.worldTime(t), e.w.now)
	if at > e.w.now || e.spinAt != e.w.now {
		e.spins, e.spinAt = 0, e.w.now
	} else if e.spins++; e.spins > maxSpins {
		e.w.Fault("%s: NextTimeout stays at %v, which is not in the future", e.Name, t.Sub(Epoch))
		at, e.spins = e.w.now+time.Millisecond, 0
	}
	if e.pending && e.timerAt == at {
		return
	}
	e.timerGen++
	e.pending, e.timerAt = true, at
	e.w.push(event{at: at, end: e, timer: e.timerGen})
}
