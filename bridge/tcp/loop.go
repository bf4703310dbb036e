package tcp

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// loopRead is how much one read of a Loop takes: a key frame of 4 Mbit/s. A buffer of this size serves all its connections.
const loopRead = 128 << 10

// loopPending bounds what a Loop keeps for a peer that does not read our answers, some bytes each. Ours.
const loopPending = 64 << 10

// loopLook is how often a Loop looks for connections whose time is up.
const loopLook = time.Second

// ErrNoLoop says that this connection, or this system, has no use for a Loop.
var ErrNoLoop = errors.New("tcp: no loop")

// errDeaf ends a connection whose peer has not read loopPending bytes of ours.
var errDeaf = errors.New("tcp: the peer reads nothing")

// Handler is what a Loop calls for one connection, from the loop's goroutine. It must not wait.
type Handler interface {
	// Handle is given what has come, which it borrows, and when. A non-nil error ends the loop's part. What it writes to w is
	// sent behind what was written before. Loop.Wake has it called with nothing.
	Handle(now time.Time, b []byte, w io.Writer) error
	// Deadline is when the loop's part ends with os.ErrDeadlineExceeded; it is asked once a second.
	Deadline() time.Time
}

// Loop reads many connections in one goroutine, beside the runtime's poller. That wakes a thread and a goroutine for each piece that comes, which
// is half of the CPU time of passing it on. Its methods may be called from anywhere.
type Loop struct{ loop }

// NewLoop returns a loop whose goroutine runs while it has connections. ErrNoLoop: with one processor, or not on Linux.
func NewLoop() (*Loop, error) {
	l := &Loop{}
	return l, l.open()
}

// Serve reads nc, which it takes, until its handler says so or ctx or the connection ends, and says why: the handler's error, io.EOF, the
// socket's, os.ErrDeadlineExceeded, ctx's cause. The connection is handed back as another net.Conn, on the runtime's poller again.
//
// With ErrNoLoop nc is untouched and handed back.
func (l *Loop) Serve(ctx context.Context, nc net.Conn, h Handler) (net.Conn, error) {
	t, ok := nc.(*net.TCPConn)
	if !ok || l == nil {
		return nc, ErrNoLoop
	}
	return l.serve(ctx, t, h)
}

// Wake has every handler called once, with nothing to handle.
func (l *Loop) Wake() { l.wakeAll() }
