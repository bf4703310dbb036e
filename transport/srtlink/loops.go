package srtlink

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-live/fairlead/transport/processor"
	"github.com/fairlead-live/fairlead/transport/srt"
	"github.com/fairlead-live/fairlead/transport/srt/srtla"
	"github.com/fairlead-live/fairlead/transport/udp"
)

// Constants of several loops on one port; ours.
const (
	// MaxLoops bounds Config.Loops.
	MaxLoops = 64
	// coresALoop: a loop carries 60,000 packets/s with a seventh of a core; the rest of four has what is done with them.
	coresALoop = 4
	// claimFor is how long a stream's claim outlives its last conclusion or connection.
	claimFor  = 5 * time.Second
	maxClaims = 4096  // kept of streams that are not connected
	maxLinks  = 16384 // of SRTLA whose loop is remembered
)

// loops is our listener: one loop, or several on one port, each with its own socket, among which the system deals out the peers by a hash of their
// address. A connection belongs to one loop for as long as it lasts. What comes to another one is handed over:
//
//   - packets of a connection whose caller has another address by now, or is a link of SRTLA, or a member of a group: the socket id says whose they are;
//   - the handshake of a caller whose stream another loop has, so that it takes over, or joins the group, there;
//   - SRTLA's registrations, by the group's id, and what comes over its links.
type loops struct {
	list  []*ownListener
	conns atomic.Int64 // connections in all

	mu     sync.Mutex // guards what follows
	claims map[string]*claim
	links  map[netip.AddrPort]int // the loops of SRTLA links
}

// claim is which loop has a stream, or is to have it.
type claim struct {
	loop, open int // open: connections
	until      time.Time
}

func listenOwn(cfg Config) (*loops, error) {
	n := cfg.Loops
	if n == 0 {
		n = processor.Shared() / coresALoop
	}
	if !udp.CanShare {
		n = 1
	}
	n = min(max(n, 1), MaxLoops)
	lc := net.ListenConfig{Control: udp.Control}
	if n > 1 {
		// Sockets that share a port would share it with another relay's, too: there must be none.
		probe, err := lc.ListenPacket(context.Background(), "udp", cfg.Addr)
		if err != nil {
			return nil, err
		}
		host, _, _ := net.SplitHostPort(cfg.Addr)
		_, port, _ := net.SplitHostPort(probe.LocalAddr().String())
		cfg.Addr, lc.Control = net.JoinHostPort(host, port), udp.ControlShared
		_ = probe.Close()
	}
	p := &loops{claims: map[string]*claim{}, links: map[netip.AddrPort]int{}}
	var secret, linkSecret [32]byte
	rand.Read(secret[:])
	rand.Read(linkSecret[:])
	now := time.Now()
	for i := range n {
		pc, err := lc.ListenPacket(context.Background(), "udp", cfg.Addr)
		if err == nil {
			var l *ownListener
			if l, err = newOwnListener(cfg, p, pc.(*net.UDPConn), srt.Config{
				Secret: secret, Latency: cfg.Latency, Passphrase: cfg.Passphrase, MaxConns: cfg.MaxConns, MigrateClear: cfg.MigrateClear, Loop: i, Loops: n,
			}); err == nil {
				l.front = srtla.New(linkSecret)
				l.front.Begin(now)
				l.core.Begin(now)
				l.index, l.post = i, make([]mail, n)
				p.list = append(p.list, l)
				continue
			}
		}
		for _, l := range p.list {
			_ = l.port.Close()
		}
		return nil, err
	}
	return p, nil
}

// Addr returns the address listened on.
func (p *loops) Addr() net.Addr { return p.list[0].port.LocalAddr() }

// Serve admits callers until ctx ends, then closes every connection and waits for its function.
//
// Goroutines: one a loop, which owns its socket and its connections; one a connection and one an admission; all waited for.
func (p *loops) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(p.list))
	var wg sync.WaitGroup
	for i, l := range p.list {
		wg.Go(func() {
			defer cancel() // one is no listener
			errs[i] = l.serve(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Drops implements server.
func (p *loops) Drops() []Drop {
	var core srt.Drops
	var front, full uint64
	for _, l := range p.list {
		l.inbox.mu.Lock()
		for why, n := range l.inbox.drops {
			core[why] += n
		}
		front, full = front+l.inbox.front, full+l.inbox.lost
		l.inbox.mu.Unlock()
	}
	var out []Drop
	for why, n := range core {
		if n > 0 {
			out = append(out, Drop{srt.DropReason(why).String(), n})
		}
	}
	for _, d := range []Drop{{"srtla", front}, {"loop_full", full}} {
		if d.Count > 0 {
			out = append(out, d)
		}
	}
	return out
}

// of is whose a datagram is that came to l.
func (p *loops) of(l *ownListener, now time.Time, from netip.AddrPort, b []byte) int {
	n := len(p.list)
	if n == 1 {
		return 0
	}
	if srtla.Own(b) {
		if loop, ok := srtla.LoopOf(b, n); ok {
			return loop
		}
		return p.linkOf(from, l.index)
	}
	if loop, ok := srt.LoopOf(b, n); ok {
		return loop
	}
	if loop := p.linkOf(from, -1); loop >= 0 {
		return loop
	}
	if id, ok := l.core.Concludes(now, from, b); ok {
		return p.claim(now, id, l.index)
	}
	return l.index
}

func (p *loops) linkOf(from netip.AddrPort, other int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if loop, ok := p.links[from]; ok {
		return loop
	}
	return other
}

// linked remembers an SRTLA link's loop.
func (p *loops) linked(from netip.AddrPort, loop int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a := range p.links {
		if len(p.links) < maxLinks {
			break
		}
		delete(p.links, a) // any: its keepalives are not answered, and it registers anew
	}
	p.links[from] = loop
}

// claim is which loop is to have a stream: the one that has it or was asked for it a moment ago, else the one it came to.
func (p *loops) claim(now time.Time, streamID string, loop int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.claims[streamID]
	if c == nil {
		if len(p.claims) >= maxClaims {
			p.forget(now)
		}
		c = &claim{}
		p.claims[streamID] = c
	}
	if c.open == 0 && now.After(c.until) {
		c.loop = loop
	}
	c.until = now.Add(claimFor)
	return c.loop
}

// forget takes out claims that have run out, with mu held; when that is none, all that nobody is connected for.
func (p *loops) forget(now time.Time) {
	for _, all := range []bool{false, true} {
		for id, c := range p.claims {
			if c.open == 0 && (all || now.After(c.until)) {
				delete(p.claims, id)
			}
		}
		if len(p.claims) < maxClaims {
			return
		}
	}
}

// opened and closed count the connections of a stream.
func (p *loops) opened(now time.Time, streamID string, loop int) {
	p.conns.Add(1)
	if len(p.list) == 1 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.claims[streamID]
	if c == nil {
		c = &claim{}
		p.claims[streamID] = c
	}
	c.loop, c.until = loop, now.Add(claimFor)
	c.open++
}

func (p *loops) closed(streamID string) {
	p.conns.Add(-1)
	if len(p.list) == 1 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.claims[streamID]; c != nil {
		c.open--
	}
}

// holder is another loop that has a stream; nil: none. (A link of SRTLA belongs to its group's loop, wherever the stream was before.)
func (p *loops) holder(streamID string, loop int) *ownListener {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.claims[streamID]; c != nil && c.open > 0 && c.loop != loop {
		return p.list[c.loop]
	}
	return nil
}

// mail is datagrams that came to one loop and are another's.
type mail struct {
	bytes   []byte // each datagram, then its control data
	letters []letter
}

type letter struct {
	from   netip.AddrPort
	n, oob int
}

// maxMail bounds what waits for a loop, bytes; what comes beyond is dropped and counted.
const maxMail = 4 << 20

func (m *mail) add(from netip.AddrPort, b, oob []byte) {
	m.bytes = append(append(m.bytes, b...), oob...)
	m.letters = append(m.letters, letter{from, len(b), len(oob)})
}

func (m *mail) clear() { m.bytes, m.letters = m.bytes[:0], m.letters[:0] }

// handOver gives the other loops what is theirs.
func (l *ownListener) handOver() {
	for i := range l.post {
		if m := &l.post[i]; len(m.letters) > 0 {
			l.loops.list[i].receive(m)
			m.clear()
		}
	}
}

// receive takes a copy of mail.
func (l *ownListener) receive(m *mail) {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	if len(l.inbox.mail.bytes)+len(m.bytes) > maxMail {
		l.inbox.lost += uint64(len(m.letters))
		return
	}
	l.inbox.mail.bytes = append(l.inbox.mail.bytes, m.bytes...)
	l.inbox.mail.letters = append(l.inbox.mail.letters, m.letters...)
	l.wakeLocked()
}

// open takes what others have handed over.
func (l *ownListener) open(now time.Time, m *mail) {
	b := m.bytes
	for _, k := range m.letters {
		l.accept(now, k.from, b[:k.n], b[k.n:k.n+k.oob])
		b = b[k.n+k.oob:]
	}
	m.clear()
}

// link notes the loop of an SRTLA link that has just been let in.
func (l *ownListener) link(from netip.AddrPort, b []byte) {
	if len(l.post) > 1 && len(b) > 2 && binary.BigEndian.Uint16(b) == 0x9201 && l.front.Has(from) {
		l.loops.linked(from, l.index)
	}
}

// evict waits until another loop's connection that has a stream has fallen silent and yielded, and its function has returned.
func (l *ownListener) evict(ctx context.Context, other *ownListener, streamID string) {
	ctx, cancel := context.WithTimeout(ctx, yieldWithin)
	defer cancel()
	look := time.NewTicker(yieldWithin / 70)
	defer look.Stop()
	for ctx.Err() == nil {
		var link *ownLink
		var gone bool
		answered := make(chan struct{})
		other.do(func(now time.Time) {
			defer close(answered)
			var rival *srt.Conn
			rival, gone = other.core.Evict(now, streamID)
			link = other.links[rival]
		})
		select {
		case <-answered:
		case <-ctx.Done():
			return
		}
		if gone {
			if link != nil {
				l.yield(ctx, link)
			}
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
}
