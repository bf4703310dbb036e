//go:build !linux

package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// Reader reads one datagram a call here. It belongs to one goroutine.
type Reader struct {
	conn *net.UDPConn
	oob  [oobSize]byte
	n    int
	oobn int
	from netip.AddrPort
}

// NewReader makes a reader of conn.
func NewReader(conn *net.UDPConn) (*Reader, error) { return &Reader{conn: conn}, nil }

// Read waits for a datagram and puts it into into[0].
func (r *Reader) Read(into *[Batch][]byte) (n int, err error) {
	r.n, r.oobn, _, r.from, err = r.conn.ReadMsgUDPAddrPort(into[0], r.oob[:])
	if err != nil {
		return 0, err
	}
	return 1, nil
}

// ReadAfter waits up to d for a datagram; n is 0 when none has come.
func (r *Reader) ReadAfter(d time.Duration, into *[Batch][]byte) (n int, err error) {
	if err := r.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return 0, err
	}
	if n, err = r.Read(into); errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, nil
	}
	return n, err
}

// Size is the length of datagram i.
func (r *Reader) Size(int) int { return r.n }

// OOB is the control data of datagram i, lent until the next Read.
func (r *Reader) OOB(int) []byte { return r.oob[:r.oobn] }

// From is who sent datagram i.
func (r *Reader) From(int) netip.AddrPort { return r.from }

// Meta knows nothing of control data here.
func Meta(dst, _ []byte) (ecn uint8, source []byte) { return 0, dst }

// Arrived knows nothing of control data here.
func Arrived(now time.Time, _ []byte) time.Time { return now }

// Unstamped is oob here.
func Unstamped(oob []byte) []byte { return oob }
