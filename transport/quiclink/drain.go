package quiclink

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/transport/wire"
)

// Drain tells every publisher to move on within left, to the relay url names if it is not empty, and refuses new ones. It
// returns when all have gone, when left has passed, or when ctx ends; Serve goes on meanwhile. It is called once.
func (l *Listener) Drain(ctx context.Context, left time.Duration, url string) {
	l.farewell, l.until = wire.Drain{URL: url}, time.Now().Add(left)
	close(l.draining)
	end := time.NewTimer(left)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		l.mu.Lock()
		n := len(l.sessions)
		l.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-end.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// goodbye is what a draining relay says now.
func (l *Listener) goodbye() wire.Drain {
	d := l.farewell
	d.Left = max(0, time.Until(l.until))
	return d
}

// A relay that drains is left with nothing lost: the connection to the next one is made while the stream goes on, the next
// key frame goes there, and what has been written before is sent, repaired and accounted for here.

// keyframeWait is how much of the time a draining relay leaves is waited for a key frame of the encoder: ours.
const keyframeWait = 0.8

// beginDrain looks for another relay, or for another machine at the same address.
func (s *sending) beginDrain(ctx context.Context, wg *sync.WaitGroup, d *wire.Drain) {
	target, err := s.moveTo(d.URL)
	if err != nil || s.drained {
		s.client.cfg.Logger.Warn("relay is going away", "to", d.URL, "err", err)
		return
	}
	s.drained = true
	s.client.cfg.Logger.Info("relay is going away", "left_ms", d.Left.Milliseconds(), "to", target.Addr)
	s.switchBy = s.now.Add(time.Duration(keyframeWait * float64(d.Left)))
	ctx, cancel := context.WithTimeout(ctx, d.Left)
	wg.Go(func() {
		defer cancel()
		next, err := s.client.reach(ctx, target)
		if err != nil {
			s.client.cfg.Logger.Warn("no relay to go on with yet", "to", target.Addr, "err", err)
		}
		s.found <- next
	})
}

// moveTo is the target for a relay's other URL: what that does not say stays as it is.
func (s *sending) moveTo(rawURL string) (Target, error) {
	was := s.target
	if rawURL == "" {
		return was, nil
	}
	t, err := ParseURL(rawURL)
	if err != nil {
		return t, err
	}
	t.Token, t.MaxRate = cmp.Or(t.Token, was.Token), cmp.Or(t.MaxRate, was.MaxRate)
	if t.Latency == 0 {
		t.Latency, t.Most = was.Latency, was.Most
	}
	t.Carriage, t.InOrder = cmp.Or(t.Carriage, was.Carriage), t.InOrder || was.InOrder
	return t, nil
}

// reach connects to a relay until that succeeds, it never can, or ctx ends.
func (c *Client) reach(ctx context.Context, target Target) (*sending, error) {
	for i := 0; ; i++ {
		select {
		case <-time.After(reconnect[min(i, len(reconnect)-1)]):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		s, err := c.connect(ctx, target, nil)
		if err == nil || fatal(err) {
			return s, err
		}
	}
}

// succeed makes next the connection that takes over; nil: there is none.
func (s *sending) succeed(next *sending) {
	s.next = next
	if next != nil {
		s.askKeyframe(0)
	}
}

// leave gives the stream, from f on, to the next relay. Takes f.
func (s *sending) leave(f *frame) {
	s.next.early = f
	s.left = true
	s.successor <- s.next
	s.next = nil
}

// endDrain does not leave a connection behind that nobody came to use, or hands it on where this one has failed.
func (s *sending) endDrain(ctx context.Context, err error) {
	select {
	case next := <-s.found:
		s.next = next
	default:
	}
	switch {
	case s.next == nil:
	case errors.Is(err, errFinished), ctx.Err() != nil:
		_ = s.next.conn.CloseWithError(codeBye, "")
		s.next.path.close()
	default:
		s.successor <- s.next
	}
}
