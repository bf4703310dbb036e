package emu

import (
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// maxPending is how many bytes of memory the packets on their way may take in one direction: 500 ms of a 1 Gbit/s link
// with packets of 1500 bytes. Beyond it packets are dropped and counted in Counters.Overflow.
const maxPending = 96 << 20

// prefaulted is how many packets are ready before the first one comes: 50 ms at 40,000 packets/s.
const prefaulted = 2048

// smallPacket is the capacity of a new packet: an Ethernet frame and what a handover or a copy may need.
const smallPacket = 2048

// A packet is one datagram or IP packet on its way.
type packet struct {
	data []byte
	via  *session // the UDP session it belongs to; nil on a namespace link
	path uint32   // which of the near side's addresses it uses
	at   time.Duration
	n    uint64
}

// pool keeps packets for reuse. It belongs to one goroutine.
type pool struct{ free []*packet }

// prefault makes packets before they are needed: allocating takes locks of Go's that threads without priority hold.
func (p *pool) prefault(n int) {
	for range n {
		k := &packet{data: make([]byte, smallPacket)}
		for i := 0; i < smallPacket; i += 512 {
			k.data[i] = 1 // so that the kernel maps the page now
		}
		p.put(k)
	}
}

func (p *pool) get() *packet {
	if n := len(p.free); n > 0 {
		k := p.free[n-1]
		p.free = p.free[:n-1]
		return k
	}
	return &packet{data: make([]byte, 0, smallPacket)}
}

func (p *pool) put(k *packet) {
	k.via, k.path = nil, 0
	if cap(k.data) == smallPacket && len(p.free) < 1<<15 {
		k.data = k.data[:0]
		p.free = append(p.free, k)
	}
}

// A lane is one direction of a link: it asks netem for each packet's fate and keeps it until it is due.
// It belongs to the carrier's goroutine.
type lane struct {
	dir      netem.Direction
	link     *netem.Link
	pool     *pool
	verdicts *verdictWriter // nil: nobody wants them
	kind     kind
	overhead int // bytes that the link carries around data: IP and UDP header on a proxy

	queue   []*packet // a binary heap by (at, n): equal times leave in order of arrival
	pending int       // bytes of memory in queue
	n       uint64    // packets that came in
	pushed  uint64
	c       Counters
	late    histogram
}

// A carried packet's kind decides what the link's verdicts do to its bytes.
type kind interface {
	// ect says whether the packet can bear the mark of congestion, and mark sets it.
	ect(k *packet) bool
	mark(k *packet)
	// corrupt damages a bit, counted from the highest of the first byte, and says whether the packet lives on.
	corrupt(k *packet, bit int) bool
}

// admit takes packet k, which came in at now.
func (l *lane) admit(now time.Duration, k *packet) {
	size := len(k.data) + l.overhead
	ect := l.kind.ect(k)
	deliver, fate := l.link.AdmitECT(now, size, ect)
	if l.verdicts != nil {
		l.verdicts.write(netem.Verdict{Dir: l.dir, N: l.n, At: now, Size: size, Deliver: deliver, Fate: fate, NotECT: !ect})
	}
	l.n++
	if fate.Drop != netem.Delivered {
		l.pool.put(k)
		return
	}
	k.path = fate.Path
	if fate.Marked {
		l.kind.mark(k)
	}
	var twin *packet
	if fate.Duplicated {
		twin = l.pool.get()
		twin.data = append(twin.data[:0], k.data...)
		twin.via, twin.path = k.via, k.path
	}
	if fate.Corrupted && !l.kind.corrupt(k, fate.CorruptBit) {
		l.c.CorruptDropped++
		l.pool.put(k)
	} else {
		l.push(deliver, k)
	}
	if twin != nil {
		l.push(fate.CopyAt, twin)
	}
}

func (l *lane) push(at time.Duration, k *packet) {
	if l.pending+cap(k.data) > maxPending {
		l.c.Overflow++
		l.pool.put(k)
		return
	}
	l.pending += cap(k.data)
	k.at, k.n = at, l.pushed
	l.pushed++
	l.queue = append(l.queue, k)
	for i := len(l.queue) - 1; i > 0; {
		up := (i - 1) / 2
		if !before(l.queue[i], l.queue[up]) {
			break
		}
		l.queue[i], l.queue[up] = l.queue[up], l.queue[i]
		i = up
	}
}

// next is when the first packet is due; never, when there is none.
func (l *lane) next() time.Duration {
	if len(l.queue) == 0 {
		return never
	}
	return l.queue[0].at
}

// pop removes the first packet if it is due at now, and notes how late that is. The caller puts it back into the pool.
func (l *lane) pop(now time.Duration) *packet {
	if len(l.queue) == 0 || l.queue[0].at > now {
		return nil
	}
	k := l.queue[0]
	last := len(l.queue) - 1
	l.queue[0] = l.queue[last]
	l.queue[last] = nil
	l.queue = l.queue[:last]
	for i := 0; ; {
		down := 2*i + 1
		if down >= last {
			break
		}
		if down+1 < last && before(l.queue[down+1], l.queue[down]) {
			down++
		}
		if !before(l.queue[down], l.queue[i]) {
			break
		}
		l.queue[i], l.queue[down] = l.queue[down], l.queue[i]
		i = down
	}
	l.pending -= cap(k.data)
	l.late.add(now - k.at)
	l.c.Sent++
	l.c.SentBytes += uint64(len(k.data) + l.overhead)
	return k
}

// unsend takes back what pop counted, for a packet that has nowhere to go, and frees it.
func (l *lane) unsend(k *packet) {
	l.c.Sent--
	l.c.SentBytes -= uint64(len(k.data) + l.overhead)
	l.pool.put(k)
}

func before(a, b *packet) bool { return a.at < b.at || a.at == b.at && a.n < b.n }

// snapshot is the counters as of now.
func (l *lane) snapshot() Counters {
	c := l.c
	c.Counters = l.link.Counters()
	c.InFlight = uint64(len(l.queue))
	c.LateP50, c.LateP99, c.LateMax = l.late.quantile(0.5), l.late.quantile(0.99), l.late.max
	return c
}

// newLanes makes both directions of a link at time 0.
func newLanes(config *Config, seed uint64, pool *pool, verdicts *verdictWriter, kind kind, overhead int) [2]*lane {
	var lanes [2]*lane
	for dir, c := range [2]netem.Config{netem.Up: config.Up, netem.Down: config.Down} {
		d := netem.Direction(dir)
		lanes[dir] = &lane{dir: d, link: netem.NewLink(c, seed, d), pool: pool, verdicts: verdicts, kind: kind, overhead: overhead, queue: make([]*packet, 0, prefaulted)}
	}
	return lanes
}
