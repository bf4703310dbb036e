package quiclink

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/session"
	"github.com/fairlead-live/fairlead/transport/srtp"
	"github.com/fairlead-live/fairlead/transport/wire"
)

const (
	// statsEvery is between statistics messages: design.md §4.
	statsEvery = time.Second
	// observeEvery is between looks of an Observer: fine enough to tell why a viewer waits.
	observeEvery = 100 * time.Millisecond
	// keyframeEvery is the least time between two requests for a key frame: ours, half a usual GOP.
	keyframeEvery = time.Second
	// grace after a good-bye, beyond the latency: ours, what is under way arrives.
	grace = 200 * time.Millisecond
	// wokenLate is how late a timer shows that the process stood still. What arrived in time meanwhile is in the kernel: the reader
	// gets readerTurn to bring it before a frame is given up for it. Both ours.
	wokenLate  = 3 * time.Millisecond
	readerTurn = time.Millisecond
)

// receiving is the relay's side of one session.
type receiving struct {
	link
	kept
	sock     *socket
	quic     func() netip.AddrPort // the address QUIC has validated last
	tag      uint32
	draining <-chan struct{} // the relay is going away; nil: it has been said
	farewell func() wire.Drain

	knocks  knocks // of DATAGRAM carriage
	peer    returnPath
	oob     [48]byte
	oobSize uint8
	payload transport.Payload

	keyAsked time.Time
	told     time.Time // when a control message came
	bye      time.Time // when the publisher said good-bye
}

// kept is what a session has beside its connection, and what the next connection goes on with.
type kept struct {
	rx         *session.Receiver
	sink       Sink
	latency    time.Duration
	most       time.Duration // to which it may grow; 0: it may not
	moved      int
	lostFrames uint64
}

// newReceiving makes the session of a publisher, or goes on with one: k.rx is not nil then.
func newReceiving(sock *socket, l link, h *wire.Hello, k kept, rate congestion.Bitrate) (*receiving, error) {
	conn := l.conn
	s := &receiving{
		link: l, kept: k, sock: sock, quic: func() netip.AddrPort { return addrPort(conn.RemoteAddr()) },
		peer: returnPath{valid: addrPort(conn.RemoteAddr())},
	}
	cfg := session.Config{Latency: k.latency, MaxLatency: k.most, MaxBitrate: rate, MTU: maxMTU, InOrder: h.Flags&wire.HelloInOrder != 0}
	tls, id := conn.ConnectionState().TLS, h.SessionID
	keys, err := newKeyring(s.now, func(epoch uint32) (send, receive srtp.Keys, err error) {
		receive, send, err = exportKeys(tls, id, 0, epoch)
		return send, receive, err
	})
	if err != nil {
		return nil, err
	}
	if h.Flags&wire.HelloDatagram != 0 {
		s.frames, s.knocks.keys = make(chan []byte, controlQueue), keys
	} else {
		s.keys, cfg.Seal, cfg.Open = keys, keys.seal, keys.open
	}
	s.tag = newTag(sock, s.box)
	cfg.Tag = s.tag
	if s.rx != nil {
		s.rx.Resume(s.tag, cfg.Seal, cfg.Open)
		return s, nil
	}
	if s.rx, err = session.NewReceiver(s.now, cfg); err != nil {
		sock.unroute(s.tag)
		return nil, err
	}
	return s, nil
}

// run drives the session until the publisher says good-bye (nil), the connection or ctx ends, or the sink has enough.
//
// Goroutines: the caller's owns the session; those of link.around.
func (s *receiving) run(ctx context.Context) error {
	stop := func() {
		s.stream.CancelRead(0)
		s.stream.CancelWrite(0)
	}
	return s.around(ctx, stop, func(ctx context.Context, in <-chan message, _ *sync.WaitGroup) error {
		err := s.loop(ctx, in)
		if err == nil {
			s.goodbye(ctx)
		}
		return err
	})
}

// end says how the session stands: its last word, and what an Observer is told before.
func (s *receiving) end(err error) End {
	st := s.rx.Stats()
	if s.theirs.Sent > 0 {
		st = transport.Combine(s.theirs, st)
	}
	return End{Err: err, Stats: st, Peer: s.from(), Moved: s.moved, RTT: s.conn.ConnectionStats().SmoothedRTT, Dropped: s.box.overflow(),
		Missing: s.rx.Missing(), Queue: s.rx.Queue(s.now), Silent: max(0, min(s.rx.Silence(s.now), s.now.Sub(s.told)))}
}

// playOut hands on what has arrived of a stream whose connection is gone, and waits for the publisher, which ends ctx by
// coming back, for as long as what it sends again can be in time.
func (s *receiving) playOut(ctx context.Context) {
	last := time.Now().Add(max(s.latency, s.most) + grace)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.sink.Done():
			return
		case <-ctx.Done():
			return
		}
		s.clock(time.Now())
		if s.release() != nil {
			return
		}
		for { // nobody reads reports any more
			if _, ok := s.rx.AppendDatagram(s.out[:0], s.now); !ok {
				break
			}
		}
		if !s.now.Before(last) {
			return
		}
		at := s.rx.NextTimeout()
		if at.IsZero() || at.After(last) {
			at = last
		}
		timer.Reset(max(0, at.Sub(s.now)))
	}
}

// from is the address media comes from.
func (s *receiving) from() netip.AddrPort {
	if s.peer.next.IsValid() {
		return s.peer.next
	}
	return s.peer.valid
}

func (s *receiving) loop(ctx context.Context, in <-chan message) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	ticks := 0
	var due time.Time // of timer
	for waited := false; ; {
		var err error
		select {
		case <-s.box.wake:
		case <-timer.C:
			if !waited && time.Since(due) > wokenLate {
				waited = true
				timer.Reset(readerTurn)
				continue
			}
		case m := <-in:
			err = s.handleControl(m)
			s.told = time.Now()
		case <-tick.C:
			s.clock(time.Now())
			if ticks++; ticks%int(statsEvery/observeEvery) == 0 {
				s.sendStats(s.rx.Stats())
			}
			if o, ok := s.sink.(Observer); ok {
				o.Observe(s.end(nil))
			}
		case <-s.draining:
			s.draining = nil
			s.send(wire.AppendDrain(nil, new(s.farewell())))
		case <-s.sink.Done():
			return errEnded
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		s.clock(time.Now())
		s.take(s.handle)
		if err := s.drain(); err != nil {
			return err
		}
		at := s.rx.NextTimeout()
		if !s.bye.IsZero() {
			if at.IsZero() || !s.now.Before(s.bye) {
				return nil
			}
			if at.After(s.bye) {
				at = s.bye
			}
		}
		if at.IsZero() {
			at = s.now.Add(time.Hour)
		}
		due, waited = at, false
		timer.Reset(max(0, at.Sub(s.now)))
	}
}

func (s *receiving) handle(p *packet) {
	if s.keys == nil && p.beside() {
		s.knocked(p)
		return
	}
	if s.keys == nil {
		s.rx.HandleDatagram(s.arrived(p), p.bytes())
		return
	}
	open := s.keys.open
	newest, accepted := open.Newest(), open.Opened()
	s.rx.HandleECN(s.arrived(p), p.bytes(), p.ecn)
	if open.Opened() == accepted {
		return // nothing of it may be believed, its address included
	}
	from, before := unmap(p.from), s.from()
	s.peer.heard(from, p.size, open.Newest() > newest)
	if now := s.from(); now != before {
		s.moved++
		if now.Addr() != before.Addr() { // another network; another port is a NAT's, and the path is the same
			s.rx.PathChanged()
		}
	}
	if from == s.from() {
		s.oobSize = uint8(copy(s.oob[:], p.oob()))
	}
}

// knocked answers a probe beside QUIC of a publisher whose media is inside it, where QUIC has validated that it is. Nothing else that
// comes beside QUIC then is believed.
func (s *receiving) knocked(p *packet) {
	b, ok := s.knocks.answer(s.out[:0], s.now, p, s.tag)
	if from := unmap(p.from); ok && from == s.quic() {
		_ = s.sock.send(b, p.oob(), from)
	} else if !ok {
		s.sock.stray.Add(1)
	}
}

// arrived is when p came, by the session's clock.
func (s *receiving) arrived(p *packet) time.Time {
	if p.at.After(s.now) {
		return s.now
	}
	return p.at
}

// release hands on what is due.
func (s *receiving) release() error {
	for {
		var ok bool
		if s.payload, ok = s.rx.PopPayload(s.now); !ok {
			return nil
		}
		if err := s.sink.Payload(&s.payload); err != nil {
			return err
		}
	}
}

// drain hands on what is due and sends what the session has to say.
func (s *receiving) drain() error {
	if err := s.release(); err != nil {
		return err
	}
	s.askKeyframe()
	for {
		b, ok := s.rx.AppendDatagram(s.out[:0], s.now)
		if !ok {
			return nil
		}
		s.sendMedia(b)
	}
}

// sendMedia sends a report; one that cannot go is like one that is lost.
func (s *receiving) sendMedia(b []byte) {
	if s.frames != nil {
		select {
		case s.frames <- append([]byte(nil), b...):
		default:
		}
		return
	}
	if to, ok := s.peer.to(s.quic(), len(b)); ok {
		_ = s.sock.send(b, s.oob[:s.oobSize], to)
	}
}
