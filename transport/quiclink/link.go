package quiclink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// link is what both ends of a session do alike on one connection: the control stream, DATAGRAM frames, keys, statistics.
type link struct {
	conn    *quic.Conn
	stream  *quic.Stream
	control *controlReader
	box     *inbox      // media that came
	outbox  chan []byte // control messages; see controlQueue
	frames  chan []byte // DATAGRAM carriage: packets to send, at most controlQueue; nil: SRTP
	keys    *keyring    // nil: DATAGRAM carriage, where what comes beside QUIC is no media

	now    time.Time
	out    []byte
	spare  []*packet
	counts []uint64
	theirs transport.Stats // the peer's, as of its last message
}

func newLink(conn *quic.Conn, stream *quic.Stream, control *controlReader) link {
	return link{
		conn: conn, stream: stream, control: control, box: newInbox(), outbox: make(chan []byte, controlQueue),
		now: time.Now(), out: make([]byte, 0, maxPacket),
	}
}

// around runs a session's loop and what reads and writes beside it, all of which has ended when it returns the loop's error;
// stop makes an end of reading and writing.
//
// Goroutines: one reads the control stream, one writes it; with DATAGRAM carriage one reads and one writes frames.
func (l *link) around(ctx context.Context, stop func(), loop func(ctx context.Context, in <-chan message, wg *sync.WaitGroup) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer context.AfterFunc(l.conn.Context(), func() { cancel(context.Cause(l.conn.Context())) })()
	in := make(chan message, 4)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.control.run(ctx, in); !errors.Is(err, io.EOF) { // who has said good-bye closes its half
			cancel(fmt.Errorf("quiclink: control stream: %w", err))
		}
	})
	wg.Go(func() { _ = writeControl(ctx, l.stream, l.outbox) })
	if l.frames != nil {
		wg.Go(func() { readFrames(ctx, l.conn, l.box) })
		wg.Go(func() { writeFrames(ctx, l.conn, l.frames) })
	}
	err := loop(ctx, in, &wg)
	cancel(err)
	stop()
	wg.Wait()
	return err
}

// clock moves the session's time on, never back: packets carry the time they were read at.
func (l *link) clock(t time.Time) {
	if t.After(l.now) {
		l.now = t
	}
}

// take hands handle each packet that has come.
func (l *link) take(handle func(*packet)) {
	l.spare = l.box.take(l.spare)
	for i, p := range l.spare {
		handle(p)
		putPacket(p)
		l.spare[i] = nil
	}
}

// send queues a control message, or reports that there is no room; see controlQueue.
func (l *link) send(b []byte) bool {
	select {
	case l.outbox <- b:
		return true
	default:
		return false
	}
}

func (l *link) sendStats(s transport.Stats) {
	l.counts = counters(l.counts[:0], &s)
	l.send(wire.AppendStats(nil, l.counts))
}

// heardStats takes in the peer's statistics.
func (l *link) heardStats(m message) error {
	v, err := wire.ParseStats(m.body)
	if err != nil {
		return malformed(m, err)
	}
	l.theirs = fromCounters(v)
	return nil
}

func malformed(m message, err error) error {
	return fmt.Errorf("%w: message %d: %w", errControl, m.kind, err)
}

// readFrames puts QUIC DATAGRAM frames into a session's inbox.
func readFrames(ctx context.Context, conn *quic.Conn, q *inbox) {
	for {
		b, err := conn.ReceiveDatagram(ctx)
		if err != nil {
			return
		}
		if len(b) > maxPacket {
			continue
		}
		p := getPacket()
		p.at, p.from, p.size, p.ecn, p.sent = time.Now(), netip.AddrPort{}, copy(p.data[:], b), 0, 0
		q.put(p)
	}
}

// writeFrames sends what comes in as DATAGRAM frames; it waits while QUIC's controller does.
func writeFrames(ctx context.Context, conn *quic.Conn, in <-chan []byte) {
	for {
		select {
		case b := <-in:
			_ = conn.SendDatagram(b) // too long, or the connection is gone, which ctx says
		case <-ctx.Done():
			return
		}
	}
}
