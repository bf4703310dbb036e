package quiclink

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/transport/session"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// Errors that end a connection.
var (
	errFinished  = errors.New("quiclink: everything is sent")
	errNoMedia   = errors.New("quiclink: QUIC arrives at the relay and media beside it does not")
	errElsewhere = errors.New("quiclink: another network, where media beside QUIC may arrive")
	errBeside    = errors.New("quiclink: media beside QUIC arrives again")
)

const (
	// targetEvery is how often a target is repeated and statistics are taken: design.md §3.
	targetEvery = 200 * time.Millisecond
	// fallbackAfter is how long media may be without an answer while QUIC has one, before it moves into QUIC: ours; 60
	// reports and two statistics messages of the relay.
	fallbackAfter = 2 * time.Second
	// audioConfigEvery is how often the configuration of sound travels in band: ours, half a usual GOP.
	audioConfigEvery = time.Second
	// retry is when DATAGRAM frames are offered again to a queue that was full.
	retry = 2 * time.Millisecond
)

// sending is the publisher's side of one connection.
type sending struct {
	link
	lasting
	client   *Client
	target   Target
	path     *path
	old      []*path // left behind by handovers; QUIC packets may still come in
	remote   netip.AddrPort
	tag      uint32
	plans    chan *fec.Plan // computed off the packet path, one at a time
	planning bool
	moved    chan handover
	moving   bool
	mtu      mtu

	successor chan *sending // to Client.drive: the connection that goes on where this one ends
	found     chan *sending // the connection to the relay that takes over from one that drains; nil: there is none
	drained   bool          // the relay has said that it drains
	next      *sending      // takes over with the next key frame, or at switchBy
	switchBy  time.Time
	left      bool   // it has
	early     *frame // the first one of next

	knocks  *keyring // of probes beside QUIC while media is inside it; nil: none are sent
	back    wayBack
	dialing bool
	dialed  chan dialed
	ready   *dialed // the connection that media goes on beside

	blocked  bool
	version  int // of the tracks sent
	tracks   []wire.Track
	configAt [256]time.Time

	rate       congestion.Bitrate
	relayRate  congestion.Bitrate // the relay's own target; 0: none
	reported   congestion.Bitrate // what the relay was told of the encoder's, and when
	reportedAt time.Time
	began      time.Time // first media
	beside     beside
	finishAt   time.Time // Close was called; the end at the latest
	sendErrors uint64
}

// lasting is what a session has beside its connection, and what the next connection goes on with.
type lasting struct {
	tx      *session.Sender
	why     explainer // nil: a controller that does not say
	latency time.Duration
	most    time.Duration // to which it may grow; latency, where it may not
	askedAt time.Time     // newest request for one
	needKey bool          // picture frames are of no use before the next key frame
}

// explainer is a controller that says what it is doing.
type explainer interface {
	Reason() congestion.Reason
	Queue() time.Duration
	Loss() float64
}

// run drives the session until everything is sent after Close (errFinished), the connection is lost, or ctx ends.
//
// Goroutines: the caller's owns the session; those of link.around; at times one computes a plan, one validates a path,
// one connects to another relay. All end before run returns.
func (s *sending) run(ctx context.Context) error {
	stop := func() { _ = s.conn.CloseWithError(codeBye, "") }
	err := s.around(ctx, stop, func(ctx context.Context, in <-chan message, wg *sync.WaitGroup) error {
		err := s.loop(ctx, in, wg)
		if errors.Is(err, errFinished) {
			s.goodbye(ctx, in)
		}
		return err
	})
	if s.moving {
		s.endHandover(<-s.moved)
	}
	if s.dialing {
		if d := <-s.dialed; d.err == nil {
			d.close()
		}
	}
	s.path.close()
	for _, p := range s.old {
		p.close()
	}
	s.endDrain(ctx, err)
	if r, ok := refusal(err); ok {
		return r
	}
	return err
}

// refusal is a relay's way to say that it wants no more of us.
func refusal(err error) (*Rejection, bool) {
	e, ok := errors.AsType[*quic.ApplicationError](err)
	if !ok || !e.Remote || e.ErrorCode != codeRefused {
		return nil, false
	}
	return &Rejection{403, e.ErrorMessage}, true
}

func (s *sending) loop(ctx context.Context, in <-chan message, wg *sync.WaitGroup) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	tick := time.NewTicker(targetEvery)
	defer tick.Stop()
	frames, handovers, finish := s.client.frames, s.client.handover, s.client.finish
	if s.early != nil {
		s.write(s.early)
		s.early = nil
	}
	for n := 0; ; {
		var err error
		select {
		case <-s.box.wake:
		case <-timer.C:
		case f := <-frames:
			s.clock(time.Now())
			s.write(f)
		case m := <-in:
			err = s.handleControl(ctx, m, wg)
		case <-tick.C:
			if n++; n%int(statsEvery/targetEvery) == 0 {
				s.sendStats(s.tx.Stats())
			}
			s.look()
			s.probe()
			err = s.lookAtMedia()
		case p := <-s.plans:
			s.planning = false
			s.tx.AddPlan(p)
		case done := <-handovers:
			s.beginHandover(ctx, wg, done)
		case h := <-s.moved:
			if s.endHandover(h) && s.frames != nil && s.target.Carriage == Auto {
				return errElsewhere
			}
		case d := <-s.dialed:
			if s.endReturn(d) {
				return errBeside
			}
		case next := <-s.found:
			s.succeed(next)
		case <-finish:
			finish = nil
			s.finishAt = time.Now().Add(s.most + grace)
			for len(frames) > 0 {
				s.clock(time.Now())
				s.write(<-frames)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		s.clock(time.Now())
		if s.left && frames != nil {
			frames, handovers, finish = nil, nil, nil
			s.finishAt = s.now.Add(s.most + grace)
		}
		s.take(func(p *packet) {
			if s.frames != nil && p.beside() {
				s.answered(p)
				return
			}
			s.tx.HandleArrival(s.now, p.at, p.bytes())
		})
		s.beginReturn(ctx, wg)
		if err := s.rekey(); err != nil {
			return err
		}
		if s.tx.BlackHole() {
			s.shrink()
		}
		s.sendTracks()
		s.drain()
		if !s.left {
			s.retarget()
		}
		if s.tx.KeyframeWanted() {
			s.gaveUp()
		}
		s.plan(wg)
		if at := s.now.Add(grace); s.finishAt.After(at) && s.tx.Settled() {
			s.finishAt = at
		}
		if !s.finishAt.IsZero() && !s.now.Before(s.finishAt) {
			return errFinished
		}
		timer.Reset(max(0, s.nextTimeout().Sub(s.now)))
	}
}

// nextTimeout is when the loop has something to do if nothing comes before.
func (s *sending) nextTimeout() time.Time {
	at := s.tx.NextTimeout()
	if at.IsZero() {
		at = s.now.Add(time.Hour)
	}
	if !s.finishAt.IsZero() && at.After(s.finishAt) {
		at = s.finishAt
	}
	if s.blocked {
		at = s.now.Add(retry)
	}
	return at
}

// look is what the session does every targetEvery.
func (s *sending) look() {
	s.lookAtMTU()
	s.client.publish(s)
}

// sendTracks tells the relay of tracks it does not know yet.
func (s *sending) sendTracks() {
	tracks, version := s.client.tracksNow()
	if version == s.version {
		return
	}
	s.tracks, s.version = tracks, version
	s.send(wire.AppendTracks(nil, tracks))
}

// drain sends what the session lets go: what goes at the same moment with one system call.
func (s *sending) drain() {
	if s.frames != nil {
		s.drainFrames()
		return
	}
	burst := s.path.burst
	for {
		b, ok := s.tx.AppendDatagram(burst.Room(), s.now)
		if !ok {
			break
		}
		if !burst.Add(b) {
			s.flush()
		}
	}
	s.flush()
}

// flush sends a burst. What the system refuses is like a loss; a path that is gone ends the connection by its idle time-out.
func (s *sending) flush() {
	failed, err := s.path.burst.Flush(s.remote)
	if failed == 0 {
		return
	}
	if tooLong(err) {
		s.shrink()
	}
	s.sendErrors += uint64(failed)
	s.client.mu.Lock()
	s.client.stats.SendErrors += uint64(failed)
	s.client.mu.Unlock()
}

// drainFrames is drain where media is inside QUIC.
func (s *sending) drainFrames() {
	for {
		if s.blocked = len(s.frames) == cap(s.frames); s.blocked {
			return
		}
		b, ok := s.tx.AppendDatagram(s.out[:0], s.now)
		if !ok {
			return
		}
		s.frames <- append([]byte(nil), b...)
	}
}

func (s *sending) askKeyframe(track uint8) {
	if f := s.client.cfg.OnKeyframe; f != nil && !s.left {
		f(track)
	}
}

// retarget tells the encoder what the path carries, as the session advises.
func (s *sending) retarget() {
	rate, why, told := s.tx.Advice(s.now)
	if !told {
		return
	}
	if s.relayRate > 0 {
		rate = min(rate, s.relayRate)
	}
	s.rate = rate
	s.client.mu.Lock()
	s.client.stats.Target = rate
	s.explain(&s.client.stats)
	s.client.mu.Unlock()
	s.report(rate, why)
	if f := s.client.cfg.OnTarget; f != nil {
		f(rate, why)
	}
}

// planning is held while a plan is computed: one at a time in this process, so that several sessions leave a core to those that send.
var planning sync.Mutex

// plan computes the plan the session lacks, 10 to 100 ms of a core, beside it.
func (s *sending) plan(wg *sync.WaitGroup) {
	if s.planning {
		return
	}
	if setting, wanted := s.tx.PlanWanted(); wanted {
		s.planning = true
		wg.Go(func() {
			planning.Lock()
			defer planning.Unlock()
			s.plans <- fec.NewPlan(setting)
		})
	}
}
