package quiclink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-live/fairlead/transport/wire"
)

// goodbye tells the publisher what became of everything, and leaves it a moment to read that.
func (s *receiving) goodbye(ctx context.Context) {
	s.sendStats(s.rx.Stats())
	s.send(wire.AppendBye(nil, &wire.Bye{Reason: "played out"}))
	select {
	case <-ctx.Done(): // it has read it and closed
	case <-time.After(2 * grace):
	}
}

// askKeyframe asks for a key frame when frames have been lost.
func (s *receiving) askKeyframe() {
	lost := s.rx.Stats().FramesLost
	if lost == s.lostFrames || s.now.Sub(s.keyAsked) < keyframeEvery {
		return
	}
	s.lostFrames, s.keyAsked = lost, s.now
	s.send(wire.AppendKeyframe(nil, 0))
	if a, ok := s.sink.(Adviser); ok {
		a.KeyframeAsked()
	}
}

func (s *receiving) handleControl(m message) error {
	switch m.kind {
	case wire.ControlTracks:
		tracks, err := wire.ParseTracks(m.body)
		if err != nil {
			return malformed(m, err)
		}
		s.sink.Tracks(tracks)
	case wire.ControlStats:
		return s.heardStats(m)
	case wire.ControlTarget:
		t, err := wire.ParseTarget(m.body)
		if err != nil {
			return malformed(m, err)
		}
		if a, ok := s.sink.(Adviser); ok {
			a.Advised(s.now, &t)
		}
	case wire.ControlRekey:
		return s.rekey(m)
	case wire.ControlPath:
		p, err := wire.ParsePath(m.body)
		if err != nil {
			return malformed(m, err)
		}
		if p.ID == 0 && !p.Reply { // the publisher is on another network now
			s.rx.PathChanged()
			s.send(wire.AppendPath(nil, &wire.Path{Reply: true, Tag: s.tag}))
		}
	case wire.ControlBye:
		s.bye = s.now.Add(max(s.latency, s.most) + grace)
	}
	return nil
}

// rekey takes in the next epoch's keys, seals with them and says so.
func (s *receiving) rekey(m message) error {
	epoch, err := wire.ParseRekey(m.body)
	if err != nil {
		return malformed(m, err)
	}
	if s.keys == nil || epoch != s.keys.seals+1 {
		return fmt.Errorf("%w: rekey to epoch %d", errControl, epoch)
	}
	if err := s.keys.take(); err != nil {
		return err
	}
	if epoch, err = s.keys.use(s.now); err != nil {
		return err
	}
	s.rx.SetEpoch(epoch)
	if !s.send(wire.AppendRekey(nil, epoch)) {
		return errors.New("quiclink: the publisher reads no control messages")
	}
	return nil
}
