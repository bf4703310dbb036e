package srt

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// Config sets up a Listener.
type Config struct {
	// Secret keys the cookies and seeds socket ids; it must come from a true random source.
	Secret       [32]byte
	Latency      time.Duration // of the receiver; the larger of ours and the peer's holds, in whole ms
	Passphrase   string        // empty: unencrypted callers only; else encrypted ones only
	MaxConns     int           // 1,000
	MaxPending   int           // requests not decided yet; 256
	MigrateClear bool          // unencrypted callers too may go on from another address, without a new handshake
	MaxBuffered  int           // bytes of payloads in all connections; 512 MB
	// Loop is this listener's place among Loops on one port, which have the Secret in common: socket ids tell whose a datagram is (LoopOf).
	// 0 or 1 Loops: it is the only one.
	Loop, Loops int
}

// version is what we announce: features of SRT 1.5.4, libsrt's number for the AES-GCM form spoken here.
const version = 0x010504

// leastVersion is the first SRT with handshake version 5.
const leastVersion = 0x010300

// maxResponses bounds the handshake responses that wait to be sent.
const maxResponses = 1024

// peerKey is what tells callers apart, as in libsrt.
type peerKey struct {
	addr netip.AddrPort
	id   uint32
}

// Listener answers handshakes and owns connections. It belongs to one goroutine and holds no lock.
type Listener struct {
	cfg   Config
	epoch time.Time
	rand  *rand.Rand
	pool  pool

	conns   map[uint32]*Conn // by our socket id
	peers   map[peerKey]*Conn
	pending map[peerKey]*Request
	groups  map[groupKey]*stream

	requests  []*Request
	waiting   []*Request // for a rival to yield; at most MaxPending
	responses []response
	refusals  []Refusal
	dirty     []*Conn // to be driven
	current   *Conn   // is being driven
	heap      []*Conn // by due
	early     time.Duration
	drops     Drops
	hs        handshake // scratch
}

type response struct {
	to netip.AddrPort
	b  []byte
}

// NewListener makes one.
func NewListener(cfg Config) *Listener {
	if cfg.MaxConns == 0 {
		cfg.MaxConns = 1000
	}
	if cfg.MaxPending == 0 {
		cfg.MaxPending = 256
	}
	if cfg.MaxBuffered == 0 {
		cfg.MaxBuffered = 512 << 20
	}
	cfg.Loops = max(cfg.Loops, 1)
	seed := cfg.Secret
	seed[0] ^= byte(cfg.Loop)
	return &Listener{
		cfg: cfg, rand: rand.New(rand.NewChaCha8(seed)), pool: pool{max: cfg.MaxBuffered / maxDatagram},
		conns: map[uint32]*Conn{}, peers: map[peerKey]*Conn{}, pending: map[peerKey]*Request{}, groups: map[groupKey]*stream{},
	}
}

// at turns a time into the time since the first one told, and one, so that 0 is never.
func (l *Listener) at(now time.Time) time.Duration {
	if l.epoch.IsZero() {
		l.epoch = now.Add(-1)
	}
	return now.Sub(l.epoch)
}

// Early lets payloads out by up to d before their time: a shell that sleeps for two d at a time is off by no more than d either way.
func (l *Listener) Early(d time.Duration) { l.early = d }

// Drops counts what belonged to no connection, and control packets.
func (l *Listener) Drops() Drops { return l.drops }

func (l *Listener) drop(r DropReason) { l.drops[r]++ }

// Conns is how many connections there are.
func (l *Listener) Conns() int { return len(l.conns) }

// Idle reports whether no connection has a payload that waits for its time.
func (l *Listener) Idle() bool {
	for _, c := range l.conns {
		if c.buffered > 0 {
			return false
		}
	}
	return true
}

// IsKeepalive reports whether a datagram only says that its sender is there.
func IsKeepalive(b []byte) bool {
	return len(b) >= 2 && b[0] == 0x80 && ControlType(b[1]) == Keepalive
}

// HandleDatagram takes a datagram, borrows it, and decrypts it in a copy.
func (l *Listener) HandleDatagram(now time.Time, from netip.AddrPort, b []byte) {
	h, body, ok := ParseHeader(b)
	if !ok {
		l.drops[DropMalformed]++
		return
	}
	t := l.at(now)
	if h.Dest == 0 {
		if !h.Control || h.Type != Handshake {
			l.drops[DropNoConn]++
			return
		}
		l.handshake(t, from, &h, body)
		return
	}
	c := l.conns[h.Dest]
	switch {
	case c == nil:
		l.drops[DropNoConn]++
	case c.peer != from:
		if !c.elsewhere(t, from, &h, b, body) {
			l.drops[DropWrongSource]++
			return
		}
		l.touch(c)
	case h.Control && h.Type == Handshake:
		// Some callers address a repeated conclusion to the socket they have not heard of yet; all get the same answer.
		l.respond(from, c.response)
	default:
		c.handle(t, &h, b, body)
		l.touch(c)
	}
}

// touch puts a connection on the list of those to be driven.
func (l *Listener) touch(c *Conn) {
	if !c.dirty {
		c.dirty = true
		l.dirty = append(l.dirty, c)
	}
}

// Next returns the next connection with something to do, to be drained; nil: there is none for now.
func (l *Listener) Next(now time.Time) *Conn {
	t := l.at(now)
	l.settle()
	l.yield(t)
	// First those that something has come for: one that is due may wait for what another does.
	for len(l.dirty) == 0 && len(l.heap) > 0 && l.heap[0].due <= t && !l.heap[0].dirty {
		c := l.heap[0]
		l.touch(c)
		c.due = forever
		l.down(0)
	}
	n := len(l.dirty)
	if n == 0 {
		return nil
	}
	c := l.dirty[n-1]
	l.dirty = l.dirty[:n-1]
	l.current = c
	return c
}

// settle schedules the connection that was driven last, or removes it when it has ended.
func (l *Listener) settle() {
	c := l.current
	if c == nil {
		return
	}
	l.current = nil
	c.dirty = false
	if c.over() && !c.shutdown {
		l.remove(c)
		return
	}
	c.due = c.timeout()
	l.fix(c)
}

func (l *Listener) remove(c *Conn) {
	if l.conns[c.id] != c {
		return
	}
	delete(l.conns, c.id)
	if k := (peerKey{c.peer, c.them}); l.peers[k] == c {
		delete(l.peers, k)
	}
	l.unheap(c)
	c.release()
	if len(c.members) == 0 && l.groups[c.group] == c.stream {
		delete(l.groups, c.group)
	}
}

// AppendDatagram writes the next handshake response and says where it goes.
func (l *Listener) AppendDatagram(dst []byte, _ time.Time) (out []byte, to netip.AddrPort, ok bool) {
	if len(l.responses) == 0 {
		return dst, to, false
	}
	r := l.responses[0]
	l.responses = l.responses[1:]
	return append(dst, r.b...), r.to, true
}

// respond queues a response; it takes b.
func (l *Listener) respond(to netip.AddrPort, b []byte) {
	if len(l.responses) >= maxResponses {
		l.drops[DropNoRoom]++
		return
	}
	l.responses = append(l.responses, response{to, b})
}

// NextTimeout is when to drive it next without input; zero: never.
func (l *Listener) NextTimeout() time.Time {
	l.settle()
	if len(l.dirty) > 0 || len(l.responses) > 0 {
		return l.epoch
	}
	due := l.yieldsAt()
	if len(l.heap) > 0 {
		due = min(due, l.heap[0].due)
	}
	if due == forever {
		return time.Time{}
	}
	return l.epoch.Add(due)
}
