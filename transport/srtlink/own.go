package srtlink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
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
	// silent is after how long without data a connection yields its stream to a newer caller.
	silent = 300 * time.Millisecond
	// yieldWithin is how long a newer caller is kept waiting for that, before Admit decides; callers repeat themselves for 3 s.
	yieldWithin = 700 * time.Millisecond
	statsEvery  = 100 * time.Millisecond
)

// ownListener drives transport/srt on one socket.
type ownListener struct {
	cfg    Config
	conn   *net.UDPConn
	reader *udp.Reader

	// Owned by Serve's goroutine.
	front *srtla.Front
	core  *srt.Listener
	links map[*srt.Conn]*ownLink
	quiet quiet
	out   []byte
	to    []netip.AddrPort
	from  sources
	wake  []*ownLink
	wg    sync.WaitGroup // of admissions and connections

	inbox inbox
}

// inbox takes what other goroutines want of the loop, and wakes it. It holds at most two entries a connection or request.
type inbox struct {
	mu    sync.Mutex // guards the rest
	todo  []func(now time.Time)
	woken bool
}

func listenOwn(cfg Config) (*ownListener, error) {
	lc := net.ListenConfig{Control: udp.Control}
	pc, err := lc.ListenPacket(context.Background(), "udp", cfg.Addr)
	if err != nil {
		return nil, err
	}
	conn := pc.(*net.UDPConn)
	reader, err := udp.NewReader(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	l := &ownListener{cfg: cfg, conn: conn, reader: reader, from: newSources(conn), links: map[*srt.Conn]*ownLink{}}
	sc := srt.Config{Latency: cfg.Latency, Passphrase: cfg.Passphrase, MaxConns: cfg.MaxConns, MigrateClear: cfg.MigrateClear}
	rand.Read(sc.Secret[:])
	l.core = srt.NewListener(sc)
	var secret [32]byte
	rand.Read(secret[:])
	l.front = srtla.New(secret)
	return l, nil
}

// Addr returns the address listened on.
func (l *ownListener) Addr() net.Addr { return l.conn.LocalAddr() }

// do runs f in the loop, soon.
func (l *ownListener) do(f func(now time.Time)) {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	l.inbox.todo = append(l.inbox.todo, f)
	l.inbox.woken = true
	_ = l.conn.SetReadDeadline(time.Unix(1, 0))
}

// Serve admits callers until ctx ends, then closes every connection and waits for its function.
//
// Goroutines: the caller's owns the socket and every connection; one a connection and one an admission, all waited for.
func (l *ownListener) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer func() { _ = l.conn.Close() }()
	defer l.wg.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.do(func(time.Time) {}) })
	defer stop()
	var into [udp.Batch][]byte
	for i := range into {
		into[i] = make([]byte, 2048)
	}
	var lastPacket time.Time
	now, n := time.Now(), 0
	for ctx.Err() == nil {
		l.drive(ctx, now)
		if n < udp.Batch && now.Sub(lastPacket) < 10*tick { // a full batch: more is waiting
			time.Sleep(tick)
		}
		l.arm(time.Now())
		var err error
		n, err = l.reader.Read(&into)
		now = time.Now() // the one clock read of this wake-up
		switch {
		case err == nil:
			lastPacket = now
			for i := range n {
				b := into[i][:min(l.reader.Size(i), len(into[i]))]
				from := l.reader.From(i)
				l.from.learn(from, b, l.reader.OOB(i))
				if source, ok := l.front.In(now, from, b); ok {
					l.core.HandleDatagram(now, source, b)
				}
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, net.ErrClosed):
			l.shut(now, err)
			return fmt.Errorf("srt: read: %w", err)
		default:
			// A peer that is gone shows as an error on some systems; it is no reason to stop.
			time.Sleep(tick)
		}
		for _, f := range l.take() {
			f(now)
		}
	}
	l.shut(time.Now(), net.ErrClosed)
	return nil
}

// arm sets the read deadline to when the connections want to be driven.
func (l *ownListener) arm(now time.Time) {
	next := l.core.NextTimeout()
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	switch {
	case l.inbox.woken:
	case next.IsZero():
		_ = l.conn.SetReadDeadline(time.Time{})
	case next.Before(now.Add(tick / 2)):
		_ = l.conn.SetReadDeadline(now.Add(tick / 2)) // one in the past would not read at all
	default:
		_ = l.conn.SetReadDeadline(next)
	}
}

func (l *ownListener) take() []func(time.Time) {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	todo := l.inbox.todo
	l.inbox.todo, l.inbox.woken = nil, false
	return todo
}

// drive follows the driving rule of package srt.
func (l *ownListener) drive(ctx context.Context, now time.Time) {
	for c := l.core.Next(now); c != nil; c = l.core.Next(now) {
		link := l.links[c]
		if link.fill(c, now) {
			l.wake = append(l.wake, link)
		}
		for b, ok := c.AppendDatagram(l.out[:0], now); ok; b, ok = c.AppendDatagram(l.out[:0], now) {
			l.write(b, c.Peer())
		}
		if err := c.Err(); err != nil {
			link.end(c.Stats(), err)
			delete(l.links, c)
		}
	}
	// All at once: waking each as it is filled starts and stops a thread for each.
	for i, link := range l.wake {
		link.more.Signal()
		l.wake[i] = nil
	}
	l.wake = l.wake[:0]
	for r, ok := l.core.NextRequest(); ok; r, ok = l.core.NextRequest() {
		if len(l.links) >= l.cfg.MaxConns {
			l.reject(now, r, &Rejection{CodeOverload, fmt.Sprintf("%d connections already", l.cfg.MaxConns)})
			continue
		}
		old := l.links[r.Replaces]
		if old == nil {
			old = l.sameStream(r.StreamID)
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
}

// write sends one datagram: to a group of SRTLA links, to one or all of them. What the socket does not take is lost, as on the way.
func (l *ownListener) write(b []byte, to netip.AddrPort) {
	l.out, l.to = b, l.front.Out(l.to[:0], to, b)
	for _, a := range l.to {
		l.from.send(l.conn, b, a)
	}
}

// real is the address of a caller, as people know it.
func (l *ownListener) real(a netip.AddrPort) netip.AddrPort { return unmap(l.front.Real(a)) }

// shut ends every connection and tells the peers.
func (l *ownListener) shut(now time.Time, err error) {
	for c, link := range l.links {
		c.Close()
		for b, ok := c.AppendDatagram(nil, now); ok; b, ok = c.AppendDatagram(nil, now) {
			l.write(b, c.Peer())
		}
		link.end(c.Stats(), err)
	}
	clear(l.links)
}
