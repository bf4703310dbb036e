package quiclink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// Close codes of the QUIC connection, ours.
const (
	codeBye      quic.ApplicationErrorCode = 0
	codeRefused  quic.ApplicationErrorCode = 1
	codeProtocol quic.ApplicationErrorCode = 2
	codeReplaced quic.ApplicationErrorCode = 3
	codeGone     quic.ApplicationErrorCode = 4
)

// setup is how long the first message may take: ours, SRT's connection timeout.
const setup = 3 * time.Second

// message is one control message; the body is the receiver's.
type message struct {
	kind wire.Control
	body []byte
}

// errControl is wrapped by errors of a control stream that breaks the rules.
var errControl = errors.New("quiclink: control stream")

// controlReader takes messages off a stream. Its buffer holds at most one message of wire.MaxControl bytes.
type controlReader struct {
	r   io.Reader
	buf []byte
}

func (c *controlReader) next() (message, error) {
	for {
		kind, body, n, err := wire.NextControl(c.buf)
		if err != nil {
			return message{}, fmt.Errorf("%w: %w", errControl, err)
		}
		if n > 0 {
			m := message{kind, append([]byte(nil), body...)}
			c.buf = c.buf[:copy(c.buf, c.buf[n:])]
			return m, nil
		}
		var b [2048]byte
		got, err := c.r.Read(b[:])
		c.buf = append(c.buf, b[:got]...)
		if err != nil && got == 0 {
			return message{}, err
		}
	}
}

// run hands every further message to out until the stream or ctx ends.
func (c *controlReader) run(ctx context.Context, out chan<- message) error {
	for {
		m, err := c.next()
		if err != nil {
			return err
		}
		select {
		case out <- m:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// controlQueue bounds the messages that wait to be written. When it is full, statistics and targets are left out (the
// next ones say more), and the session ends for anything else, for the peer then reads nothing.
const controlQueue = 32

// writeControl writes what comes in until in is closed or ctx ends. Closing in closes our half of the stream.
func writeControl(ctx context.Context, s *quic.Stream, in <-chan []byte) error {
	for {
		select {
		case b, ok := <-in:
			if !ok {
				return s.Close()
			}
			if _, err := s.Write(b); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// counters puts a session's counters in the order of wire.StatsFields.
func counters(dst []uint64, s *transport.Stats) []uint64 {
	return append(dst, s.Sent, s.Delivered, s.Recovered, s.Late, s.Lost, s.FramesSent, s.FramesDelivered, s.FramesLost,
		s.BytesSent, s.BytesReceived, s.Repairs, s.Drops.Total(), s.RecoveredByRepair)
}

// fromCounters is what counters put in order; a peer of another version may send fewer or more.
func fromCounters(v []uint64) (s transport.Stats) {
	var dropped uint64
	for i, p := range []*uint64{&s.Sent, &s.Delivered, &s.Recovered, &s.Late, &s.Lost, &s.FramesSent, &s.FramesDelivered,
		&s.FramesLost, &s.BytesSent, &s.BytesReceived, &s.Repairs, &dropped, &s.RecoveredByRepair} {
		if i < len(v) {
			*p = v[i]
		}
	}
	s.RecoveredByResend = s.Recovered - min(s.Recovered, s.RecoveredByRepair)
	return s
}
