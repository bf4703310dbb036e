package quiclink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/session"
	"github.com/fairlead-live/fairlead/transport/srtp"
	"github.com/fairlead-live/fairlead/transport/wire"
)

const (
	// statsEvery is between statistics messages: design.md §4.
	statsEvery = time.Second
	// keyframeEvery is the least time between two requests for a key frame: ours, half a usual GOP.
	keyframeEvery = time.Second
	// grace after a good-bye, beyond the latency: ours, what is under way arrives.
	grace = 200 * time.Millisecond
)

// receiving is the relay's side of one session.
type receiving struct {
	sock    *socket
	conn    *quic.Conn
	quic    func() netip.AddrPort // the address QUIC has validated last
	stream  *quic.Stream
	control *controlReader
	sink    Sink
	latency time.Duration
	box     *inbox
	tag     uint32
	rx      *session.Receiver
	open    *srtp.Opener // nil: DATAGRAM carriage
	outbox  chan []byte  // control messages; see controlQueue
	frames  chan []byte  // DATAGRAM carriage: feedback; full: left out, the next report repeats it

	peer    returnPath
	moved   int
	oob     [48]byte
	oobSize uint8
	now     time.Time
	out     []byte
	spare   []*packet
	payload transport.Payload

	lostFrames uint64
	keyAsked   time.Time
	bye        time.Time // when the publisher said good-bye
	counts     []uint64
	theirs     transport.Stats
}

func newReceiving(sock *socket, conn *quic.Conn, stream *quic.Stream, h *wire.Hello, latency time.Duration, rate congestion.Bitrate, sink Sink) (*receiving, error) {
	s := &receiving{
		sock: sock, conn: conn, quic: func() netip.AddrPort { return addrPort(conn.RemoteAddr()) }, stream: stream, sink: sink, latency: latency,
		box: newInbox(), outbox: make(chan []byte, controlQueue), now: time.Now(),
		peer: returnPath{valid: addrPort(conn.RemoteAddr())}, out: make([]byte, 0, maxPacket),
	}
	cfg := session.Config{Latency: latency, MaxBitrate: rate, InOrder: h.Flags&wire.HelloInOrder != 0}
	if h.Flags&wire.HelloDatagram != 0 {
		s.frames = make(chan []byte, controlQueue)
	} else {
		client, server, err := exportKeys(conn.ConnectionState().TLS, h.SessionID, 0, 0)
		if err != nil {
			return nil, err
		}
		if cfg.Seal, cfg.Open, err = ends(server, client); err != nil {
			return nil, err
		}
		s.open = cfg.Open
	}
	s.tag = newTag(sock, s.box)
	cfg.Tag = s.tag
	var err error
	if s.rx, err = session.NewReceiver(s.now, cfg); err != nil {
		sock.unroute(s.tag)
		return nil, err
	}
	return s, nil
}

// run drives the session until the publisher says good-bye, the connection or ctx ends, or the sink has enough.
//
// Goroutines: the caller's owns the session; one reads the control stream, one writes it, with DATAGRAM carriage one
// reads and one writes frames. All end before run returns.
func (s *receiving) run(ctx context.Context) End {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.conn.Context(), func() { cancel(context.Cause(s.conn.Context())) })
	defer stop()
	in := make(chan message, 4)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.control.run(ctx, in); !errors.Is(err, io.EOF) { // a publisher that has said good-bye closes its half
			cancel(fmt.Errorf("control stream: %w", err))
		}
	})
	wg.Go(func() { _ = writeControl(ctx, s.stream, s.outbox) })
	if s.frames != nil {
		wg.Go(func() { readFrames(ctx, s.conn, s.box) })
		wg.Go(func() { writeFrames(ctx, s.conn, s.frames) })
	}
	err := s.loop(ctx, in)
	if err == nil {
		s.goodbye(ctx)
	}
	cancel(err)
	s.stream.CancelRead(0)
	s.stream.CancelWrite(0)
	wg.Wait()
	return s.end(err)
}

// end says how the session stands: its last word, and what an Observer is told before.
func (s *receiving) end(err error) End {
	st := s.rx.Stats()
	if s.theirs.Sent > 0 {
		st = transport.Combine(s.theirs, st)
	}
	return End{Err: err, Stats: st, Peer: s.from(), Moved: s.moved, RTT: s.conn.ConnectionStats().SmoothedRTT, Dropped: s.box.overflow()}
}

// goodbye tells the publisher what became of everything, and leaves it a moment to read that.
func (s *receiving) goodbye(ctx context.Context) {
	s.sendStats()
	s.send(wire.AppendBye(nil, &wire.Bye{Reason: "played out"}))
	select {
	case <-ctx.Done(): // it has read it and closed
	case <-time.After(2 * grace):
	}
}

func (s *receiving) sendStats() {
	s.counts = counters(s.counts[:0], new(s.rx.Stats()))
	s.send(wire.AppendStats(nil, s.counts))
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
	tick := time.NewTicker(statsEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-s.box.wake:
		case <-timer.C:
		case m := <-in:
			err = s.handleControl(m)
		case <-tick.C:
			s.sendStats()
			if o, ok := s.sink.(Observer); ok {
				o.Observe(s.end(nil))
			}
		case <-s.sink.Done():
			return errEnded
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		s.clock(time.Now())
		s.takeIn()
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
		timer.Reset(max(0, at.Sub(s.now)))
	}
}

// clock moves the session's time on, never back: packets carry the time they were read at.
func (s *receiving) clock(t time.Time) {
	if t.After(s.now) {
		s.now = t
	}
}

// takeIn handles what the socket has put into the inbox.
func (s *receiving) takeIn() {
	s.spare = s.box.take(s.spare)
	for i, p := range s.spare {
		s.handle(p)
		putPacket(p)
		s.spare[i] = nil
	}
}

func (s *receiving) handle(p *packet) {
	if s.open == nil {
		s.rx.HandleDatagram(s.now, p.bytes())
		return
	}
	newest, accepted := s.open.Newest(), s.open.Opened()
	s.rx.HandleECN(s.now, p.bytes(), p.ecn)
	if s.open.Opened() == accepted {
		return // nothing of it may be believed, its address included
	}
	from, before := unmap(p.from), s.from()
	s.peer.heard(from, p.size, s.open.Newest() > newest)
	if s.from() != before {
		s.moved++
	}
	if from == s.from() {
		s.oobSize = uint8(copy(s.oob[:], p.oob()))
	}
}

// drain hands on what is due and sends what the session has to say.
func (s *receiving) drain() error {
	for {
		var ok bool
		if s.payload, ok = s.rx.PopPayload(s.now); !ok {
			break
		}
		if err := s.sink.Payload(&s.payload); err != nil {
			return err
		}
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

// askKeyframe asks for a key frame when frames have been lost.
func (s *receiving) askKeyframe() {
	lost := s.rx.Stats().FramesLost
	if lost == s.lostFrames || s.now.Sub(s.keyAsked) < keyframeEvery {
		return
	}
	s.lostFrames, s.keyAsked = lost, s.now
	s.send(wire.AppendKeyframe(nil, 0))
}

// send queues a control message; see controlQueue.
func (s *receiving) send(b []byte) {
	select {
	case s.outbox <- b:
	default:
	}
}

func (s *receiving) handleControl(m message) error {
	switch m.kind {
	case wire.ControlTracks:
		tracks, err := wire.ParseTracks(m.body)
		if err != nil {
			return fmt.Errorf("%w: tracks: %w", errControl, err)
		}
		s.sink.Tracks(tracks)
	case wire.ControlStats:
		v, err := wire.ParseStats(m.body)
		if err != nil {
			return fmt.Errorf("%w: stats: %w", errControl, err)
		}
		s.theirs = fromCounters(v)
	case wire.ControlBye:
		s.bye = s.now.Add(s.latency + grace)
	}
	return nil
}

// readFrames puts QUIC DATAGRAM frames into a session's inbox.
func readFrames(ctx context.Context, conn *quic.Conn, q *inbox) {
	for {
		b, err := conn.ReceiveDatagram(ctx)
		if err != nil {
			return
		}
		if len(b) > maxPacket {
			continue
		}
		p := getPacket()
		p.at, p.size, p.ecn, p.sent = time.Now(), copy(p.data[:], b), 0, 0
		q.put(p)
	}
}

// writeFrames sends what comes in as DATAGRAM frames; it waits while QUIC's controller does.
func writeFrames(ctx context.Context, conn *quic.Conn, in <-chan []byte) {
	for {
		select {
		case b := <-in:
			_ = conn.SendDatagram(b) // too long, or the connection is gone, which ctx says
		case <-ctx.Done():
			return
		}
	}
}
