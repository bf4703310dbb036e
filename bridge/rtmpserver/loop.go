package rtmpserver

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/fairlead-live/fairlead/bridge/rtmp"
	"github.com/fairlead-live/fairlead/bridge/tcp"
	"github.com/fairlead-live/fairlead/transport/processor"
)

// errAside says that there is something to do in which a loop may not wait: c.aside.
var errAside = errors.New("rtmpserver: not for the loop")

// loop has the connection of a publisher read by one of the server's loops, for as long as nothing but media comes. TLS and other systems stay
// with a goroutine each (c.noLoop).
func (c *conn) loop(ctx context.Context) error {
	nc, err := c.s.nextLoop().Serve(ctx, c.nc, (*looped)(c))
	if errors.Is(err, tcp.ErrNoLoop) {
		c.noLoop = true
		return nil
	}
	now := time.Now()
	c.inLoop = nil
	c.stop()
	c.use(nc)
	if !errors.Is(err, errAside) {
		return c.readError(ctx, now, err)
	}
	ev, rest := c.aside, c.rest
	c.aside, c.rest = rtmp.Event{}, nil
	err = c.handle(ctx, now, ev)
	if werr := c.flush(); err == nil {
		err = werr
	}
	if err != nil {
		return err
	}
	return c.feed(ctx, now, rest)
}

// looped is a conn while a loop has it.
type looped conn

// Handle implements tcp.Handler.
func (l *looped) Handle(now time.Time, b []byte, w io.Writer) error {
	c := (*conn)(l)
	c.inLoop = w
	if err := c.move(); err != nil {
		return err
	}
	return c.feed(c.ctx, now, b)
}

// Deadline implements tcp.Handler.
func (l *looped) Deadline() time.Time { return (*conn)(l).deadline() }

// nextLoop returns the loop for another publisher, nil when there are none.
func (s *Server) nextLoop() *tcp.Loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loops == nil {
		s.loops = []*tcp.Loop{}
		for range max(1, processor.Shared()/2) {
			l, err := tcp.NewLoop()
			if err != nil {
				s.cfg.Logger.Debug("rtmp: a goroutine for each publisher", "err", err)
				break
			}
			s.loops = append(s.loops, l)
		}
	}
	if len(s.loops) == 0 {
		return nil
	}
	s.turn++
	return s.loops[s.turn%len(s.loops)]
}
