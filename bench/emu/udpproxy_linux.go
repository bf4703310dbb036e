package emu

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead-live/fairlead/bench/netem"
)

const (
	// maxSessions bounds the clients of one proxy; the datagrams of more are refused and counted in SendErrors.
	maxSessions = 1024
	// sessionIdle is after how long without a datagram a client may be forgotten for the sake of a new one.
	sessionIdle = 2 * time.Minute // RFC 4787 §4.3: a NAT keeps UDP mappings two minutes
)

// A session is one client of the proxy: the target sees it as a socket of its own.
type session struct {
	client netip.AddrPort
	fd     int // -1: closed
	path   uint32
	last   time.Duration
}

// A UDPProxy stands between UDP clients and a target and behaves like the link between them: clients are the near side,
// the target is the far one. It needs no privilege. All clients share the link, as the users of one access line do.
// After a handover the target sees each client under a new port, and datagrams to the old one are lost.
// Sizes count the IP and UDP headers. Datagrams cannot carry ECN: an ecn link drops where it would mark.
// A corrupted datagram is dropped, as the receiver's UDP checksum would make it.
type UDPProxy struct {
	config   Config
	listener int
	target   netip.AddrPort
	addr     netip.AddrPort
	carrier  *carrier
	verdicts *verdictWriter

	// Owned by the carrier:
	pool     pool
	sessions map[netip.AddrPort]*session
	byFD     map[int32]*session
	path     uint32
	in       [udpBatch]*packet
	out      [udpBatch]*packet
	io       datagrams
	oi       datagrams
	lost     [2]uint64 // drops of sockets that are closed
}

// NewUDPProxy listens on listen (port 0: any) and forwards to target.
func NewUDPProxy(listen, target netip.AddrPort, config Config) (*UDPProxy, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	p := &UDPProxy{config: config, target: target, sessions: map[netip.AddrPort]*session{}, byFD: map[int32]*session{}}
	var err error
	if p.listener, err = udpSocket(listen, netip.AddrPort{}); err != nil {
		return nil, fmt.Errorf("emu: UDP proxy: %w", err)
	}
	if p.addr, err = localAddr(p.listener); err == nil {
		if p.carrier, err = newCarrier(); err == nil {
			err = p.carrier.watch(p.listener)
		}
	}
	if err != nil {
		unix.Close(p.listener)
		return nil, fmt.Errorf("emu: UDP proxy: %w", err)
	}
	if config.Verdicts != nil {
		p.verdicts = newVerdictWriter(config.Verdicts)
	}
	p.carrier.receive, p.carrier.deliver = p.receive, p.deliver
	p.pool.prefault(prefaulted)
	p.fresh(config.Seed)
	go p.carrier.run()
	return p, nil
}

func (p *UDPProxy) fresh(seed uint64) {
	headers := 20 + 8
	if p.target.Addr().Is6() {
		headers = 40 + 8
	}
	for _, s := range p.sessions {
		s.path = 0
	}
	p.path = 0
	p.carrier.lanes, p.carrier.start = newLanes(&p.config, seed, &p.pool, p.verdicts, udpKind{}, headers), time.Now()
}

// Addr is where clients send to.
func (p *UDPProxy) Addr() netip.AddrPort { return p.addr }

// Restart begins a new link for the same clients: packet number 0, time 0, counters 0, nothing on its way.
func (p *UDPProxy) Restart(seed uint64) { p.carrier.call(func() { p.fresh(seed) }) }

// Counters of clients → target and back, since the start or Restart (HostDropped: since the start).
func (p *UDPProxy) Counters() (up, down Counters) {
	p.carrier.call(func() {
		up, down = p.carrier.lanes[netem.Up].snapshot(), p.carrier.lanes[netem.Down].snapshot()
		up.HostDropped, down.HostDropped = p.lost[netem.Up]+socketDrops(p.listener), p.lost[netem.Down]
		for _, s := range p.sessions {
			down.HostDropped += socketDrops(s.fd)
		}
	})
	return up, down
}

// Realtime says whether the carrying thread got real-time priority (CAP_SYS_NICE).
func (p *UDPProxy) Realtime() (ok bool) {
	p.carrier.call(func() { ok = p.carrier.realtime })
	return ok
}

// Close ends the proxy. It is called once; it returns the error of writing verdicts, if any.
func (p *UDPProxy) Close() error {
	p.carrier.stop()
	unix.Close(p.listener)
	for _, s := range p.sessions {
		unix.Close(s.fd)
	}
	if p.verdicts != nil {
		return p.verdicts.Close()
	}
	return nil
}

func (p *UDPProxy) receive(fd int32) {
	c := p.carrier
	l, s := c.lanes[netem.Up], (*session)(nil)
	if fd != int32(p.listener) {
		l = c.lanes[netem.Down]
		if s = p.byFD[fd]; s == nil {
			return // closed in this wake-up
		}
	}
	n, err := p.io.receive(int(fd), &p.pool, &p.in)
	if err != nil {
		return // nothing there, or the report that an earlier datagram was refused
	}
	now := c.now()
	for i, k := range p.in[:n] {
		p.in[i] = nil
		k.via = s
		if s == nil {
			if k.via = p.session(p.io.from(i), now); k.via == nil {
				l.c.SendErrors++
				p.pool.put(k)
				continue
			}
		}
		k.via.last = now
		l.admit(now, k)
	}
}

// session finds or makes the client's session; nil when there are too many.
func (p *UDPProxy) session(client netip.AddrPort, now time.Duration) *session {
	if s := p.sessions[client]; s != nil {
		return s
	}
	if len(p.sessions) >= maxSessions {
		for a, s := range p.sessions {
			if now-s.last > sessionIdle {
				p.closeSocket(s)
				delete(p.sessions, a)
			}
		}
		if len(p.sessions) >= maxSessions {
			return nil
		}
	}
	s := &session{client: client, fd: -1, path: p.path}
	if !p.openSocket(s) {
		return nil
	}
	p.sessions[client] = s
	return s
}

func (p *UDPProxy) openSocket(s *session) bool {
	fd, err := udpSocket(netip.AddrPort{}, p.target)
	if err != nil {
		return false
	}
	if err := p.carrier.watch(fd); err != nil {
		unix.Close(fd)
		return false
	}
	s.fd = fd
	p.byFD[int32(fd)] = s
	return true
}

func (p *UDPProxy) closeSocket(s *session) {
	if s.fd >= 0 {
		p.lost[netem.Down] += socketDrops(s.fd)
		delete(p.byFD, int32(s.fd))
		unix.Close(s.fd)
		s.fd = -1
	}
}

// deliver sends what is due in one direction, in runs that share a socket.
func (p *UDPProxy) deliver(dir int) (sent int) {
	l := p.carrier.lanes[dir]
	now := p.carrier.now()
	fd, run := -1, 0
	flush := func() {
		if run > 0 {
			var to func(*packet) netip.AddrPort
			if dir == int(netem.Down) {
				to = clientOf
			}
			l.c.SendErrors += uint64(p.oi.send(fd, p.out[:run], to))
			for i, k := range p.out[:run] {
				p.pool.put(k)
				p.out[i] = nil
			}
			run = 0
		}
	}
	for ; sent < maxBatch; sent++ {
		k := l.pop(now)
		if k == nil {
			break
		}
		s := k.via
		to := p.listener
		if dir == int(netem.Up) {
			p.path = max(p.path, k.path)
			if s.path != p.path { // a handover: another port of ours towards the target
				flush()
				p.closeSocket(s)
				p.openSocket(s)
				s.path = p.path
			}
			to = s.fd
		} else if s.path != p.path {
			l.unsend(k)
			l.c.OldAddress++
			continue
		}
		if to != fd || run == udpBatch {
			flush()
			fd = to
		}
		p.out[run] = k
		run++
	}
	flush()
	return sent
}

func clientOf(k *packet) netip.AddrPort { return k.via.client }

// udpKind is a datagram without its headers.
type udpKind struct{}

func (udpKind) ect(*packet) bool          { return false }
func (udpKind) mark(*packet)              {}
func (udpKind) corrupt(*packet, int) bool { return false }
