package quiclink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/session"
	"github.com/fairlead-live/fairlead/transport/wire"
)

const (
	// probeTimeout is how long a new path may take to be validated: ours, five probes of quic-go's with their back-off.
	probeTimeout = 5 * time.Second
	// maxHandovers bounds the sockets of one connection: quic-go ends a connection with any transport it was ever used on,
	// so those left behind stay until its end.
	maxHandovers = 32
)

// handover is a path whose validation has ended.
type handover struct {
	path *path
	quic *quic.Path
	err  error
	done chan<- error
}

// beginHandover opens a socket and has QUIC validate the path from there; the stream stays where it is meanwhile.
func (s *sending) beginHandover(ctx context.Context, wg *sync.WaitGroup, done chan<- error) {
	if s.moving || len(s.old) >= maxHandovers {
		done <- errors.New("quiclink: a handover is under way, or there have been too many on this connection")
		return
	}
	p, err := newPath()
	if err != nil {
		done <- fmt.Errorf("quiclink: handover: %w", err)
		return
	}
	p.sock.route(s.tag, s.box)
	q, err := s.conn.AddPath(p.tr)
	if err != nil {
		p.close()
		done <- fmt.Errorf("quiclink: handover: %w", err)
		return
	}
	s.moving = true
	s.lookAtMTU() // the new path's is not known yet
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		s.moved <- handover{p, q, q.Probe(ctx), done}
	})
}

// endHandover moves QUIC and media to a validated path at the same moment. Feedback on its way to the old socket still
// arrives. It reports whether they have moved.
func (s *sending) endHandover(h handover) bool {
	s.moving = false
	s.old = append(s.old, h.path) // whatever comes of it, quic-go knows its transport
	if h.err == nil {
		h.err = h.quic.Switch()
	}
	if h.err != nil {
		_ = h.quic.Close()
		h.done <- fmt.Errorf("quiclink: handover: %w", h.err)
		return false
	}
	s.old[len(s.old)-1], s.path = s.path, h.path
	s.tx.PathChanged(s.now, s.afresh())
	s.send(wire.AppendPath(nil, &wire.Path{Tag: s.tag}))
	s.client.mu.Lock()
	s.client.stats.Handovers++
	s.client.mu.Unlock()
	h.done <- nil
	return true
}

// afresh is the controller of a path that is not known yet: it begins at half of what the one before had for media, as after an outage. nil: the
// application brings its own, and keeps it.
func (s *sending) afresh() session.Controller {
	if s.client.cfg.Controller != nil {
		return nil
	}
	c := newController(min(startRate, max(handoverLeast, s.tx.Target()/2)), s.target.MaxRate)
	s.why = c
	return c
}

// handoverLeast is the least rate at which a path begins: the controller's own start.
const handoverLeast = congestion.Mbps
