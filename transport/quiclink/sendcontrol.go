package quiclink

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/wire"
)

func (s *sending) handleControl(ctx context.Context, m message, wg *sync.WaitGroup) error {
	switch m.kind {
	case wire.ControlStats:
		if err := s.heardStats(m); err != nil {
			return err
		}
		s.beside.answered(s.now, s.tx.Stats().Datagrams)
	case wire.ControlKeyframe:
		track, err := wire.ParseKeyframe(m.body)
		if err != nil {
			return malformed(m, err)
		}
		s.askKeyframe(track)
	case wire.ControlTarget:
		t, err := wire.ParseTarget(m.body)
		if err != nil {
			return malformed(m, err)
		}
		s.relayRate = congestion.Bitrate(t.Bitrate)
	case wire.ControlRekey:
		return s.rekeyed(m)
	case wire.ControlDrain:
		d, err := wire.ParseDrain(m.body)
		if err != nil {
			return malformed(m, err)
		}
		s.beginDrain(ctx, wg, &d)
	case wire.ControlBye:
		b, err := wire.ParseBye(m.body)
		if err != nil {
			return malformed(m, err)
		}
		return &Rejection{b.Code, b.Reason}
	}
	return nil
}

// targetAgain is how far apart the relay is told of targets, unless one is lower by a tenth: ours, as the encoder is told again.
const targetAgain = 200 * time.Millisecond

// report lets the relay know what the encoder was told, for its feedback to others. Where the queue is full it is left out.
func (s *sending) report(rate congestion.Bitrate, why congestion.Reason) {
	if s.now.Sub(s.reportedAt) < targetAgain-10*time.Millisecond && rate > s.reported*9/10 {
		return
	}
	s.reportedAt, s.reported = s.now, rate
	t := wire.Target{Bitrate: uint32(min(rate, 1<<32-1)), Reason: uint8(why)}
	if s.why != nil {
		t.Path = &wire.TargetPath{Queue: s.why.Queue(), Loss: s.why.Loss()}
	}
	s.send(wire.AppendTarget(nil, &t))
}

// rekey offers the relay the next epoch's keys when those in use are old.
func (s *sending) rekey() error {
	if s.keys == nil || !s.keys.due(s.now) {
		return nil
	}
	if len(s.outbox) == cap(s.outbox) {
		return nil // next time
	}
	if err := s.keys.take(); err != nil {
		return err
	}
	s.send(wire.AppendRekey(nil, s.keys.opens))
	return nil
}

// rekeyed seals with the keys the relay has taken in.
func (s *sending) rekeyed(m message) error {
	epoch, err := wire.ParseRekey(m.body)
	if err != nil {
		return malformed(m, err)
	}
	if s.keys == nil || epoch != s.keys.opens || epoch == s.keys.seals {
		return fmt.Errorf("%w: rekey to epoch %d", errControl, epoch)
	}
	if epoch, err = s.keys.use(s.now); err != nil {
		return err
	}
	s.tx.SetEpoch(epoch)
	return nil
}

// goodbye says what was sent and that it is all, and waits until the relay has played it out and says so.
func (s *sending) goodbye(ctx context.Context, in <-chan message) {
	s.sendStats(s.tx.Stats())
	s.send(wire.AppendBye(nil, &wire.Bye{Reason: "the publisher has ended"}))
	close(s.outbox)
	end := time.NewTimer(s.most + grace + time.Second)
	defer end.Stop()
	for {
		select {
		case m := <-in:
			if m.kind == wire.ControlBye || m.kind == wire.ControlStats && s.heardStats(m) != nil {
				return
			}
		case <-s.conn.Context().Done():
			return
		case <-ctx.Done():
			return
		case <-end.C:
			return
		}
	}
}
