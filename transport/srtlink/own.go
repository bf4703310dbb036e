package srtlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/transport/srt"
	"github.com/fairlead-live/fairlead/transport/srt/srtla"
	"github.com/fairlead-live/fairlead/transport/udp"
)

// Constants of the loop; ours.
const (
	// tick is how long the loop sleeps while packets come, so that one read takes what has come in the meantime: a
	// millisecond of added delivery time for a quarter of the wake-ups.
	tick = time.Millisecond
	// longTick is that while more than crowd packets come in each: several streams share the loop, and half a millisecond more
	// spares another third of the wake-ups.
	longTick = 1500 * time.Microsecond
	crowd    = 3
	// yieldWithin is how long a newer caller is kept waiting for the function of a connection that yields, before Admit decides.
	yieldWithin = 700 * time.Millisecond
	statsEvery  = 100 * time.Millisecond
	// restTick is how long the loop sleeps while restCrowd connections and more have said for restAfter only that they are there. What comes then waits
	// for it once: a first packet, whose time is not measured yet.
	restTick  = 40 * time.Millisecond
	restCrowd = 100
	restAfter = time.Second
	// maxBatches are read before the connections are driven again.
	maxBatches = 16
)

// ownListener drives transport/srt on one socket: one loop.
type ownListener struct {
	loops *loops
	index int // its place among them
	cfg   Config
	port  udp.Port
	over  chan struct{} // closed when the loop has ended

	// Owned by Serve's goroutine.
	front *srtla.Front
	core  *srt.Listener
	links map[*srt.Conn]*ownLink
	left  map[*srt.Conn]*ownLink // have ended, and their functions may not have returned
	quiet quiet
	rest  rest
	out   []byte
	to    []netip.AddrPort
	from  sources
	wake  []*ownLink
	post  []mail         // for the other loops
	wg    sync.WaitGroup // of admissions and connections

	inbox inbox
}

// inbox takes what other goroutines want of the loop, and wakes it. It holds at most two entries a connection or request.
type inbox struct {
	mu     sync.Mutex // guards the rest
	todo   []func(now time.Time)
	mail   mail
	lost   uint64    // letters there was no room for
	drops  srt.Drops // of the core, with front up to statsEvery old
	front  uint64
	asleep bool // the loop waits for the socket, and is to be woken
}

func newOwnListener(cfg Config, all *loops, conn *net.UDPConn, sc srt.Config) (*ownListener, error) {
	l := &ownListener{
		loops: all, cfg: cfg, over: make(chan struct{}), from: newSources(conn), links: map[*srt.Conn]*ownLink{}, left: map[*srt.Conn]*ownLink{}, core: srt.NewListener(sc),
	}
	var err error
	if l.port, err = udp.OpenPort(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return l, nil
}

// do runs f in the loop, soon.
func (l *ownListener) do(f func(now time.Time)) {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	l.inbox.todo = append(l.inbox.todo, f)
	l.wakeLocked()
}

func (l *ownListener) wakeLocked() {
	if l.inbox.asleep {
		l.inbox.asleep = false
		l.port.Wake()
	}
}

// serve is loops.Serve for one.
func (l *ownListener) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer func() { _ = l.port.Close() }()
	defer l.wg.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.do(func(time.Time) {}) })
	defer stop()
	var into [udp.Batch][]byte
	for i := range into {
		into[i] = make([]byte, 2048)
	}
	defer close(l.over)
	var flow flow
	var handed mail
	now := time.Now()
	counted := now
	for ctx.Err() == nil {
		l.drive(ctx, now)
		var n int
		var err error
		nap := flow.nap(now)
		l.core.Early(nap / 2)
		if nap == 0 && l.rest.may(now, l.core.Conns(), l.core.Idle) {
			nap = restTick
		}
		if nap > 0 {
			n, err = l.port.ReadAfter(nap, &into)
		} else if d, ok := l.sleep(time.Now()); ok {
			n, err = l.port.ReadBefore(d, &into)
		}
		now = time.Now() // the one clock read of this wake-up
		for full := 0; err == nil && n > 0; {
			flow.packets += n
			l.take(now, &into, n)
			if full++; n < udp.Batch || full == maxBatches {
				break
			}
			n, err = l.port.ReadAfter(0, &into)
		}
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			l.shut(now, err)
			return fmt.Errorf("srt: read: %w", err)
		default:
			// A peer that is gone shows as an error on some systems; it is no reason to stop.
			time.Sleep(tick)
		}
		if now.Sub(counted) >= statsEvery {
			counted = now
			l.count()
		}
		todo := l.inboxed(&handed)
		flow.packets += len(handed.letters)
		l.open(now, &handed)
		for _, f := range todo {
			f(now)
		}
	}
	l.shut(time.Now(), net.ErrClosed)
	return nil
}

// flow tells how long to sleep between two reads: not at all, unless packets come so densely that a read each tick costs less than one for
// each packet.
type flow struct {
	since   time.Time
	packets int
	was     time.Duration
}

func (f *flow) nap(now time.Time) time.Duration {
	if d := now.Sub(f.since); d >= 16*tick {
		switch all := time.Duration(f.packets) * tick; {
		case all >= crowd*d:
			f.was = longTick
		case 2*all >= d: // every second tick brings one
			f.was = tick
		default:
			f.was = 0
		}
		f.since, f.packets = now, 0
	}
	return f.was
}

// rest tells whether nothing comes but keep-alives. Each alone wakes a loop, and one in 40 ms takes several.
type rest struct {
	stirred time.Time // the last datagram of another kind
	looked  time.Time // at the connections
	idle    bool
}

func (r *rest) stir(now time.Time) { r.stirred, r.idle = now, false }

func (r *rest) may(now time.Time, conns int, idle func() bool) bool {
	if conns < restCrowd || now.Sub(r.stirred) < restAfter {
		return false
	}
	if now.Sub(r.looked) >= restAfter || now.Before(r.looked) {
		r.looked, r.idle = now, idle()
	}
	return r.idle
}

// take gives a batch to the core.
func (l *ownListener) take(now time.Time, into *[udp.Batch][]byte, n int) {
	for i := range n {
		b := into[i][:min(l.port.Size(i), len(into[i]))]
		from := l.port.From(i)
		if to := l.loops.of(l, now, from, b); to != l.index {
			l.post[to].add(from, b, l.from.worth(b, l.port.OOB(i)))
			continue
		}
		l.accept(now, from, b, l.port.OOB(i))
	}
	l.handOver()
}

// accept gives a datagram to SRTLA's front, and what that lets pass to the core.
func (l *ownListener) accept(now time.Time, from netip.AddrPort, b, oob []byte) {
	if !srt.IsKeepalive(b) {
		l.rest.stir(now)
	}
	l.from.learn(from, b, oob)
	source, ok := l.front.In(now, from, b)
	if ok {
		l.core.HandleDatagram(now, source, b)
		return
	}
	l.link(from, b)
}

// sleep is how long to wait for the socket, 0: without end; false: not at all, as something waits in the inbox.
func (l *ownListener) sleep(now time.Time) (d time.Duration, ok bool) {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	if len(l.inbox.todo) > 0 || len(l.inbox.mail.letters) > 0 {
		return 0, false
	}
	l.inbox.asleep = true
	if next := l.core.NextTimeout(); !next.IsZero() {
		d = max(next.Sub(now), tick/2)
	}
	return d, true
}

// count shows others what was dropped.
func (l *ownListener) count() {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	l.inbox.drops, l.inbox.front = l.core.Drops(), l.front.Drops()
}

// inboxed empties the inbox; the mail in it is exchanged for an empty one.
func (l *ownListener) inboxed(m *mail) []func(time.Time) {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	todo := l.inbox.todo
	l.inbox.todo, l.inbox.asleep = nil, false
	l.inbox.mail, *m = *m, l.inbox.mail
	return todo
}

// drive follows the driving rule of package srt.
func (l *ownListener) drive(ctx context.Context, now time.Time) {
	for c := l.core.Next(now); c != nil; c = l.core.Next(now) {
		link := l.links[c.Owner()]
		if link.fill(c, now) {
			l.wake = append(l.wake, link)
		}
		for b, ok := c.AppendDatagram(l.out[:0], now); ok; b, ok = c.AppendDatagram(l.out[:0], now) {
			l.write(b, c.Peer())
		}
		if err := c.Err(); err != nil {
			l.end(c, link, err)
		}
	}
	// All at once: waking each as it is filled starts and stops a thread for each.
	for i, link := range l.wake {
		link.more.Signal()
		l.wake[i] = nil
	}
	l.wake = l.wake[:0]
	for r, ok := l.core.NextRequest(); ok; r, ok = l.core.NextRequest() {
		if int(l.loops.conns.Load()) >= l.cfg.MaxConns {
			l.reject(now, r, &Rejection{CodeOverload, fmt.Sprintf("%d connections already", l.cfg.MaxConns)})
			continue
		}
		old := l.links[r.Replaces]
		if old == nil {
			old = l.left[r.Replaces]
		}
		peer := l.real(r.Peer)
		l.wg.Go(func() { l.decide(ctx, r, peer, old) })
	}
	for r, ok := l.core.NextRefusal(); ok; r, ok = l.core.NextRefusal() {
		l.log(l.real(r.Peer), r.StreamID, &Rejection{uint32(r.Code), r.Code.String()})
	}
	for b, to, ok := l.core.AppendDatagram(l.out[:0], now); ok; b, to, ok = l.core.AppendDatagram(l.out[:0], now) {
		l.write(b, to)
	}
	for b, to, ok := l.front.AppendDatagram(l.out[:0]); ok; b, to, ok = l.front.AppendDatagram(l.out[:0]) {
		l.write(b, to)
	}
	l.port.Flush()
}

// end takes leave of a connection.
func (l *ownListener) end(c *srt.Conn, link *ownLink, err error) {
	if link == nil {
		return
	}
	link.end(c.Stats(), err)
	delete(l.links, c.Owner())
	l.loops.closed(link.conn.StreamID())
	select {
	case <-link.done:
	default:
		l.left[link.conn] = link
	}
}

// write queues one datagram: to a group of SRTLA links, to one or all of them. What the socket does not take is lost, as on the way.
func (l *ownListener) write(b []byte, to netip.AddrPort) {
	l.out, l.to = b, l.front.Out(l.to[:0], to, b)
	for _, a := range l.to {
		l.port.Add(b, l.from.of(a), a)
	}
}

// real is the address of a caller, as people know it.
func (l *ownListener) real(a netip.AddrPort) netip.AddrPort { return unmap(l.front.Real(a)) }

// shut ends every connection and tells the peers.
func (l *ownListener) shut(now time.Time, err error) {
	for c := range l.links {
		c.Close()
	}
	for c := l.core.Next(now); c != nil; c = l.core.Next(now) {
		for b, ok := c.AppendDatagram(l.out[:0], now); ok; b, ok = c.AppendDatagram(l.out[:0], now) {
			l.write(b, c.Peer())
		}
	}
	for c, link := range l.links {
		link.end(c.Stats(), err)
	}
	l.port.Flush()
	clear(l.links)
}
