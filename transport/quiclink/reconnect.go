package quiclink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// reconnect are the pauses before each attempt: ours; the last one goes on.
var reconnect = []time.Duration{0, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}

func (c *Client) drive(ctx context.Context) error {
	var running sync.WaitGroup // connections; those to relays that drain go on for a while beside the next one
	defer running.Wait()
	for s := c.first; ; {
		ended := c.start(ctx, s, &running)
		var err error
		var next *sending
		select {
		case next = <-s.successor:
		case err = <-ended:
			select {
			case next = <-s.successor: // ready before it was needed
				c.settle(s)
			default:
			}
		}
		if next != nil {
			c.mu.Lock()
			c.target, c.stats.Drains = next.target, c.stats.Drains+1
			c.mu.Unlock()
			s = next
			continue
		}
		switch {
		case errors.Is(err, errFinished), ctx.Err() != nil, fatal(err):
			return err
		case errors.Is(err, errNoMedia):
			c.mu.Lock()
			c.datagram, c.packet = true, s.mtu.path
			if c.wait == 0 || s.now.Sub(s.began) > backMost {
				c.wait = c.every
			} else { // it has been back there, and not for long
				c.wait = min(2*c.wait, backMost)
			}
			c.mu.Unlock()
			c.cfg.Logger.Warn("media beside QUIC does not arrive: it goes on in QUIC DATAGRAM frames", "peer", s.target.Addr)
		case s.target.Carriage == Auto: // nobody knows what the next network blocks
			c.mu.Lock()
			c.datagram = false
			if errors.Is(err, errBeside) {
				c.wait = s.back.wait
				c.cfg.Logger.Info("media beside QUIC arrives again: it goes back there", "peer", s.target.Addr)
			}
			c.mu.Unlock()
		}
		c.setState(Reconnecting, err)
		before := s
		if s, err = c.again(ctx, before); err != nil {
			return err
		}
		if c.goOn(before, s); s.needKey {
			if c.cfg.OnKeyframe != nil {
				c.cfg.OnKeyframe(0)
			}
		}
	}
}

// start runs a connection; what it returns says how it ended.
func (c *Client) start(ctx context.Context, s *sending, running *sync.WaitGroup) <-chan error {
	ended := make(chan error, 1)
	running.Go(func() {
		err := s.run(ctx)
		c.publish(s)
		if s.left {
			c.settle(s)
		}
		ended <- err
	})
	return ended
}

// goOn makes s the connection after before.
func (c *Client) goOn(before, s *sending) {
	if s.tx != before.tx { // another session
		c.settle(before)
	}
	c.mu.Lock()
	delete(c.live, before)
	s.needKey = s.needKey || c.gap
	c.gap = false
	c.stats.Reconnects++
	c.stats.State = Connected
	c.mu.Unlock()
	if c.cfg.OnState != nil {
		c.cfg.OnState(Connected, nil)
	}
}

// again connects until it succeeds, it never can, or nobody wants it any more.
func (c *Client) again(ctx context.Context, before *sending) (*sending, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer func() {
		if d := before.ready; d != nil { // unused
			d.close()
		}
	}()
	go func() { // ends with this call
		select {
		case <-c.finish:
			cancel(errFinished)
		case <-ctx.Done():
		}
	}()
	for i := 0; ; i++ {
		select {
		case <-time.After(reconnect[min(i, len(reconnect)-1)]):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		s, err := c.connect(ctx, c.targetNow(), before)
		if err == nil {
			return s, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if fatal(err) {
			return nil, err
		}
		c.setState(Reconnecting, err)
		c.cfg.Logger.Info("relay not reached", "peer", c.targetNow().Addr, "err", err)
	}
}

// fatal reports whether no further attempt can succeed.
func fatal(err error) bool {
	if r, ok := errors.AsType[*Rejection](err); ok {
		return r.Status < 500 && r.Status != 409 && r.Status != 429
	}
	return errors.Is(err, ErrPin)
}

// connectError says what was being done.
func connectError(addr string, err error) error {
	return fmt.Errorf("quiclink: connect to %s: %w", addr, err)
}
