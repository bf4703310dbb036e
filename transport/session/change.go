package session

import (
	"time"

	"github.com/fairlead-live/fairlead/transport/arq"
	"github.com/fairlead-live/fairlead/transport/srtp"
)

// SetEpoch says that what is sent from now on is sealed with the keys of this epoch, which the caller has given to
// Config.Seal.
func (s *Sender) SetEpoch(epoch uint32) { s.cfg.Epoch = epoch }

// SetEpoch is Sender.SetEpoch for reports.
func (r *Receiver) SetEpoch(epoch uint32) { r.cfg.Epoch = epoch }

// SetMTU bounds the datagrams of frames written from now on: path MTU discovery or EMSGSIZE said so. It cannot rise
// above Config.MTU.
func (s *Sender) SetMTU(n int) {
	s.hole.found = s.hole.found && n <= s.mtu
	s.mtu = max(minMTU, min(n, s.cfg.MTU))
}

// Resume goes on over a new connection: new keys, a new tag, transport sequence numbers from 0. Frames, media sequence
// numbers and the clock go on. What was in flight counts as lost and is sent again while there is time.
func (s *Sender) Resume(now time.Time, tag uint32, seal *srtp.Sealer, open *srtp.Opener) {
	at := s.since(now)
	s.events = s.tracker.Forget(at, s.events[:0])
	s.settle(at, at)
	s.tracker = arq.NewTracker(trackerPackets)
	s.policy.newest = 0
	s.cfg.Tag, s.cfg.Seal, s.cfg.Open, s.cfg.Epoch = tag, seal, open, 0
	s.breaker, s.pace, s.hole = breaker{}, at, blackHole{}
}

// PathChanged says that what is sent from now on goes another way, by a planned handover to another network. Its delay and its rate are not known:
// the controller c begins, and is told of no packet that went before; nil: the controller stays. What is in flight may still
// arrive, and losses are taken to be what they were until the new path shows its own. Where only a NAT has another port the path is the same.
func (s *Sender) PathChanged(now time.Time, c Controller) {
	at := s.since(now)
	s.tracker.PathChanged()
	s.stood, s.crowdedAt, s.pathAt, s.pace = standstill{}, 0, max(1, at), min(s.pace, at)
	if c != nil {
		s.cfg.Controller = c
		s.view, _ = c.(view)
	}
}

// Resume is Sender.Resume at the other end. A publisher that lost its state, too, needs a new Receiver.
func (r *Receiver) Resume(tag uint32, seal *srtp.Sealer, open *srtp.Opener) {
	r.record = newRecorder()
	r.heard = 0
	r.cfg.Tag, r.cfg.Seal, r.cfg.Open, r.cfg.Epoch = tag, seal, open, 0
	r.PathChanged()
}

// PathChanged forgets the delays of the old path after a handover to another one, so that frames are due one latency
// after the least delay of the new one.
func (r *Receiver) PathChanged() { r.buffer.ForgetDelay() }
