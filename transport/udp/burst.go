package udp

import (
	"net"
	"net/netip"
	"syscall"
)

const (
	// batchBytes holds the datagrams of a Burst: Batch of the longest, ours.
	batchBytes = Batch * longest
	longest    = 1500
)

// Burst sends up to Batch datagrams to one address, built where they are sent from, with one system call, and those of equal
// length one after another as one segmented buffer (UDP GSO) where kernel and network card can. It belongs to one goroutine and
// allocates nothing.
//
//	for more := true; more; { more = b.Add(append(b.Room(), …)) }
//	b.Flush(to)
type Burst struct {
	buf  []byte
	ends [Batch]int // where each datagram ends in buf
	n    int
	msgs messages
}

// NewBurst makes a burst for conn, which keeps its other methods.
func NewBurst(conn *net.UDPConn) (*Burst, error) {
	b := &Burst{buf: make([]byte, 0, batchBytes)}
	return b, b.msgs.init(conn)
}

// Room is what the next datagram is appended to: what waits already, with room for 1500 bytes more. Lent until Flush.
func (b *Burst) Room() []byte { return b.buf }

// Add takes d, which is Room with a datagram appended, and reports whether there is room for another one.
func (b *Burst) Add(d []byte) (more bool) {
	b.buf = d
	b.ends[b.n] = len(d)
	b.n++
	return b.n < Batch && cap(b.buf)-len(b.buf) >= longest
}

// Len is how many datagrams wait.
func (b *Burst) Len() int { return b.n }

// Flush sends what waits. failed is how many datagrams the system refused, err why it did the last of them: they are not
// sent again. (With a full socket buffer it waits, as every write.)
func (b *Burst) Flush(to netip.AddrPort) (failed int, err error) {
	if b.n > 0 {
		failed, err = b.msgs.send(b, to)
		b.buf, b.n = b.buf[:0], 0
	}
	return failed, err
}

// datagram is the bytes of datagram i.
func (b *Burst) datagram(i int) []byte {
	begin := 0
	if i > 0 {
		begin = b.ends[i-1]
	}
	return b.buf[begin:b.ends[i]]
}

// run is how many datagrams from i on can go as one segmented buffer: equal lengths, of which the last may be shorter.
func (b *Burst) run(i int) int {
	size := len(b.datagram(i))
	n := 1
	for i+n < b.n && n < maxSegments {
		next := len(b.datagram(i + n))
		if next > size || next == 0 {
			break
		}
		if n++; next < size {
			break
		}
	}
	return n
}

// maxSegments of one segmented buffer: Linux's UDP_MAX_SEGMENTS was 64 until 6.9; 65,507 bytes hold 43 of the longest.
const maxSegments = min(64, 65507/longest)

// noSegments reports whether an error may say that segmented buffers cannot be sent here: EIO is a card without checksums
// (udp(7)), EINVAL an old kernel, or an address.
func noSegments(err syscall.Errno) bool { return err == syscall.EIO || err == syscall.EINVAL }
