package quiclink

import (
	"net/netip"
	"sync"
	"time"
)

// maxPacket is the longest datagram that is read whole: as quic-go's own buffers (1452 of payload is what we send at most).
const maxPacket = 1500

// packet is one media datagram on its way from the socket to its session.
type packet struct {
	at     time.Time      // when it arrived, or where the system does not say, when it was read
	from   netip.AddrPort // the zero value: it came inside QUIC
	size   int
	ecn    uint8
	sent   uint8 // bytes of source in use
	source [48]byte
	data   [maxPacket]byte
}

func (p *packet) bytes() []byte { return p.data[:p.size] }

// beside reports whether it came beside QUIC, and not in a frame of it.
func (p *packet) beside() bool { return p.from.IsValid() }

// oob is control data for an answer, so that it leaves from the address this came to.
func (p *packet) oob() []byte { return p.source[:p.sent] }

var packets = sync.Pool{New: func() any { return new(packet) }}

func getPacket() *packet  { return packets.Get().(*packet) }
func putPacket(p *packet) { packets.Put(p) }

// inboxSize bounds what waits for a session: 50 ms at 20,000 packets/s. When it is full the newest are dropped and counted.
const inboxSize = 1024

// inbox hands packets from the socket's goroutine to a session's. It takes every packet put into it.
type inbox struct {
	wake chan struct{} // capacity 1: there is something

	mu      sync.Mutex // guards what follows
	waiting []*packet
	dropped uint64
	bytes   uint64
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

func (q *inbox) put(p *packet) {
	q.mu.Lock()
	first := len(q.waiting) == 0
	if len(q.waiting) >= inboxSize {
		q.dropped++
		q.mu.Unlock()
		putPacket(p)
		return
	}
	q.bytes += uint64(p.size)
	q.waiting = append(q.waiting, p)
	q.mu.Unlock()
	if first {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// take returns what waits and gives the inbox the empty slice of the time before.
func (q *inbox) take(empty []*packet) []*packet {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := q.waiting
	q.waiting = empty[:0]
	return out
}

// overflow is how many packets were dropped because the session did not keep up.
func (q *inbox) overflow() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}
