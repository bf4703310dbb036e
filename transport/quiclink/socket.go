package quiclink

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"

	"github.com/fairlead-live/fairlead/transport/udp"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// socket is one UDP socket shared by QUIC and media. quic-go reads it, and thereby runs the demultiplexing: what is media
// never comes out of ReadBatch or ReadFrom. Everything else is the connection's own.
//
// quic-go uses a connection with these methods as it is: batched reads, GSO and ECN stay on.
type socket struct {
	*net.UDPConn
	reader *udp.Reader

	// Of the reading goroutine.
	in   [udp.Batch]*packet
	room [udp.Batch][]byte
	next int // message of the last read that comes next, and how many there are
	got  int

	stray atomic.Uint64 // media datagrams of no session

	mu     sync.RWMutex // guards routes
	routes map[uint32]*inbox
}

// quic-go's unexported shape, as it is in v0.65.0 (sys_conn_oob.go): a connection it reads in batches.
var (
	_ quic.OOBCapablePacketConn = (*socket)(nil)
	_ interface {
		ReadBatch(ms []ipv4.Message, flags int) (int, error)
	} = (*socket)(nil)
)

func newSocket(conn *net.UDPConn) (*socket, error) {
	r, err := udp.NewReader(conn)
	if err != nil {
		return nil, err
	}
	s := &socket{UDPConn: conn, reader: r, routes: map[uint32]*inbox{}}
	for i := range s.in {
		s.fill(i)
	}
	return s, nil
}

func (s *socket) fill(i int) {
	s.in[i] = getPacket()
	s.room[i] = s.in[i].data[:]
}

// route sends media with this path tag to q; false: the tag is taken.
func (s *socket) route(tag uint32, q *inbox) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.routes[tag] != nil {
		return false
	}
	s.routes[tag] = q
	return true
}

func (s *socket) unroute(tag uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.routes, tag)
}

// ReadBatch fills ms with datagrams that are not media. It never returns 0 without an error.
func (s *socket) ReadBatch(ms []ipv4.Message, _ int) (int, error) {
	if len(ms) == 0 {
		return 0, fmt.Errorf("quiclink: read into no message")
	}
	for n := 0; ; {
		for ; s.next < s.got && n < len(ms); s.next++ {
			p := s.in[s.next]
			if s.media(s.next, p) {
				continue
			}
			m := &ms[n]
			m.N = copy(m.Buffers[0], p.data[:s.reader.Size(s.next)])
			m.NN = copy(m.OOB, udp.Unstamped(s.reader.OOB(s.next)))
			m.Addr = net.UDPAddrFromAddrPort(s.reader.From(s.next))
			n++
		}
		if n > 0 {
			return n, nil
		}
		if err := s.read(); err != nil {
			return 0, err
		}
	}
}

// ReadFrom is ReadBatch for where quic-go does not use that.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	m := [1]ipv4.Message{{Buffers: [][]byte{b}}}
	if _, err := s.ReadBatch(m[:], 0); err != nil {
		return 0, nil, err
	}
	return m[0].N, m[0].Addr, nil
}

func (s *socket) read() (err error) {
	s.next, s.got = 0, 0
	n, err := s.reader.Read(&s.room)
	if err != nil {
		return err
	}
	s.got = n
	now := time.Now()
	for i := range n {
		s.in[i].at = udp.Arrived(now, s.reader.OOB(i))
	}
	return nil
}

// media hands datagram i to its session if it is media, and reports whether it was.
func (s *socket) media(i int, p *packet) bool {
	b := p.data[:min(s.reader.Size(i), maxPacket)]
	if !wire.IsMedia(b) {
		return false
	}
	tag, ok := wire.Tag(b)
	var q *inbox
	if ok {
		s.mu.RLock()
		q = s.routes[tag]
		s.mu.RUnlock()
	}
	if q == nil {
		s.stray.Add(1)
		return true
	}
	p.size = len(b)
	p.from = s.reader.From(i)
	var source []byte
	p.ecn, source = udp.Meta(p.source[:0], s.reader.OOB(i))
	if len(source) > len(p.source) {
		source = nil
	}
	p.sent = uint8(len(source))
	q.put(p)
	s.fill(i)
	return true
}

// send writes one media datagram. oob is the control data of packet.oob, or nil.
func (s *socket) send(b, oob []byte, to netip.AddrPort) error {
	_, _, err := s.WriteMsgUDPAddrPort(b, oob, to)
	return err
}

// listenUDP opens a socket with large buffers, whose datagrams bear the time of their arrival.
func listenUDP(addr string) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: udp.Stamped}
	pc, err := lc.ListenPacket(context.Background(), "udp", addr)
	if err != nil {
		return nil, err
	}
	return pc.(*net.UDPConn), nil
}
