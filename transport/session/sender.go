package session

import (
	"fmt"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/arq"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// Sizes of a sender's state, beside the send buffer (Config.packets() symbols) that holds what may be
// sent again and what waits for the pacer. Together with the buffer's bookkeeping, under 512 KiB.
const (
	trackerPackets = 2048 // transport sequence numbers remembered: 2 s at 1000 packets/s
	blockRing      = 1024 // blocks remembered: 13 s of sound and of 30 pictures/s, 9 s with 60 pictures/s
	blockMargin    = 128  // of them, for the blocks of a frame
)

// Sender turns frames into datagrams. It is owned by one goroutine; it holds no lock.
type Sender struct {
	cfg    Config
	mtu    int // of new frames, at most cfg.MTU
	zero   time.Time
	closed bool

	encoder *fec.Encoder
	tracker *arq.Tracker
	events  []arq.Event
	flying  []time.Duration     // reused
	packets []congestion.Packet // for the controller, reused
	policy  policy

	media     []mediaPacket
	nextMedia int64
	newest    int64 // after the highest media sequence number that was sent
	frames    int64
	blocks    [blockRing]block
	nextBlock int64
	group     group
	touched   []int64 // blocks that a report said something about

	queues    [queues]queue
	later     later
	pace      time.Duration // when the pacer lets the next packet go
	behind    bool          // something was ready to go when the pacer ended the last drain
	held      bool          // what waits is held back by the inflight cap or the breaker, not by the pacer
	probing   prober
	breaker   breaker
	budget    budget
	view      view // nil: the controller does not tell
	advice    congestion.Advice
	advised   bool
	stood     standstill
	sentAt    time.Duration // newest packet
	pathAt    time.Duration // what was sent before went another way
	crowdedAt time.Duration // a queue stood; 0: never
	padding   bool          // the last packet only explored the path

	pictures [pictureRing]picture
	waits    int           // bytes of pictures in the media queue that were not dropped
	broken   [256 / 8]byte // tracks whose pictures wait for a key frame
	hole     blackHole

	source  wire.Source
	symbol  []byte
	scratch []byte
	stats   transport.Stats
	wantKey bool
}

// mediaPacket is what the sender knows about one media packet.
type mediaPacket struct {
	block  int64
	sent   bool   // its first sending is over
	first  bool   // its first sending is in flight
	here   bool   // the receiver has it
	flying uint8  // copies in flight or queued; 0 when it is here
	extra  uint16 // ms by which its deadline is later than its block's
}

// NewSender makes a sender whose clock's zero is now.
func NewSender(now time.Time, cfg Config) (*Sender, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	n := cfg.packets()
	encoder, err := fec.NewEncoder(fec.Config{Symbols: n, SymbolBytes: cfg.symbolBytes()})
	if err != nil {
		return nil, fmt.Errorf("session: sender: %w", err)
	}
	s := &Sender{cfg: cfg, mtu: cfg.MTU, zero: now, encoder: encoder, tracker: arq.NewTracker(trackerPackets), media: make([]mediaPacket, n)}
	s.policy.init(cfg.NoFEC)
	s.policy.patient = cfg.InOrder && s.stretches()
	s.view, _ = cfg.Controller.(view)
	for i, size := range [queues]int{queueAudio: 1024, queueControl: 256, queueRepair: 1024, queueMedia: 2 * n} {
		s.queues[i].items = make([]item, size)
	}
	return s, nil
}

// since is the session's clock.
func (s *Sender) since(now time.Time) time.Duration { return max(0, now.Sub(s.zero)) }

// Stats returns a snapshot.
func (s *Sender) Stats() transport.Stats {
	st := s.stats
	st.Sent = uint64(s.nextMedia)
	return st
}

// KeyframeWanted reports, once, that a frame others refer to was given up here, so that the encoder should make a key frame.
func (s *Sender) KeyframeWanted() bool {
	w := s.wantKey
	s.wantKey = false
	return w
}

// PlanWanted is the setting whose plan the sender lacks, if it lacks one. Computing it takes 10 to 100 ms: the
// shell does so in another goroutine (fec.NewPlan) and hands it over with AddPlan. Meanwhile an older plan serves.
func (s *Sender) PlanWanted() (fec.Setting, bool) {
	if s.policy.off {
		return fec.Setting{}, false
	}
	return s.policy.planner.Wanted()
}

// AddPlan takes a plan that was wanted.
func (s *Sender) AddPlan(p *fec.Plan) { s.policy.planner.Add(p) }

// Settled reports whether all that was written has arrived or was given up: nothing waits to be sent, and nothing that was is in flight.
func (s *Sender) Settled() bool {
	for i := range s.queues {
		if s.queues[i].len() > 0 {
			return false
		}
	}
	for _, it := range s.later.items {
		if it.kind != lookAgain { // which asks for the fate of what is in flight
			return false
		}
	}
	return s.tracker.PacketsInFlight() == 0
}

// Close ends the session: nothing more is sent.
func (s *Sender) Close() { s.closed = true }

// WriteFrame takes in a frame. Borrows f and its data. ErrQueueFull: the path carries less than the
// application makes, and this frame was dropped whole.
func (s *Sender) WriteFrame(now time.Time, f *transport.Frame) error {
	if s.closed {
		return transport.ErrClosed
	}
	at := s.since(now)
	capture := at
	if !f.Capture.IsZero() {
		capture = min(at, s.since(f.Capture))
	}
	total := len(f.Data) + wire.FrameHeaderSize
	most := s.cfg.dataBytes() - (s.cfg.MTU - s.mtu)
	k := (total + most - 1) / most
	if k > len(s.media)/2 {
		return transport.ErrFrameTooBig
	}
	class := classOf(f)
	s.budget.need.add(at, k*(packetExtra+wire.SourceHeaderSize+ipUDP)+total)
	if s.refused(f, class) {
		return transport.ErrQueueFull
	}
	if s.room() < k {
		s.stats.FramesDropped[class]++
		if !f.Flags.Has(transport.Droppable) {
			s.wantKey = true
		}
		return transport.ErrQueueFull
	}
	base := s.nextMedia
	s.policy.media.add(at, k)
	s.policy.frames.add(at, 1)
	s.policy.copies = s.policy.media.perSecond(at)*s.cfg.Latency.Seconds() > decoderSymbols-decoderMargin
	s.policy.dear = s.further(at, capture, k) == 1 && s.further(at+s.group.gap+groupMargin, capture, k) == 1
	s.policy.refresh(at, s.roundTime(), s.windowSpan(at, capture, k))
	s.packetize(f, capture, total, k)
	q := &s.queues[queueMedia]
	tail := q.tail
	s.addBlocks(at, capture, base, k, class)
	s.enlist(f, capture, base, k, total, class, q, tail)
	s.mended(f)
	s.frames++
	s.choose(at)
	s.held = false
	s.stats.FramesSent++
	return nil
}

// room is how many more packets fit without pushing out what was never sent.
func (s *Sender) room() int {
	free := len(s.media) - int(s.nextMedia-s.sentUpTo())
	if first, end := s.waiting(); end-first >= pictureRing-1 {
		return 0
	}
	for _, q := range [...]*queue{&s.queues[queueAudio], &s.queues[queueMedia]} {
		if it, ok := q.peek(); ok && it.kind == sendSource && s.nextBlock-s.packet(it.ref).block >= blockRing-blockMargin {
			return 0 // what waits would lose its block
		}
	}
	return min(free, s.queues[queueMedia].room()/2, s.queues[queueAudio].room()/2)
}

// packetize cuts a frame into k equal packets (all of total bytes, the frame header included).
func (s *Sender) packetize(f *transport.Frame, capture time.Duration, total, k int) {
	src := &s.source
	data := f.Data
	for i := range k {
		size := total*(i+1)/k - total*i/k
		*src = wire.Source{Sequence: uint32(s.nextMedia), Track: f.Track, Flags: wireFlags(f.Flags)}
		if i == 0 {
			size -= wire.FrameHeaderSize
			src.Flags |= wire.Start
			dts := f.DTS.Microseconds()
			src.Frame = wire.FrameHeader{
				Codec: uint8(f.Codec), Number: uint16(s.frames), Capture: uint32(capture.Microseconds()),
				DTS: dts, CTS: int32(max(-1<<23, min(1<<23-1, f.PTS.Microseconds()-dts))),
			}
		}
		if i == k-1 {
			src.Flags |= wire.End
			size = len(data)
		}
		size = max(0, min(size, len(data)))
		src.Data, data = data[:size], data[size:]
		s.symbol = wire.AppendSource(s.symbol[:0], src)
		s.encoder.Put(s.nextMedia, s.symbol)
		s.nextMedia++
	}
}

func wireFlags(f transport.Flags) (out wire.Flags) {
	if f.Has(transport.Key) {
		out |= wire.Key
	}
	if f.Has(transport.Droppable) {
		out |= wire.Droppable
	}
	if f.Has(transport.Config) {
		out |= wire.Config
	}
	if f.Has(transport.Discontinuity) {
		out |= wire.Discontinuity
	}
	return out
}

// HandleDatagram takes in a feedback report that has just arrived. Borrows b.
func (s *Sender) HandleDatagram(now time.Time, b []byte) { s.HandleArrival(now, now, b) }

// HandleArrival takes in a feedback report that arrived before now: a process that does not get the processor at once measures the
// path by the time of the arrival, and plans with what is left. Borrows b.
func (s *Sender) HandleArrival(now, arrived time.Time, b []byte) {
	at := s.since(now)
	came := min(at, s.since(arrived))
	s.stats.BytesReceived += uint64(len(b))
	if !wire.IsRTCP(b) {
		s.stats.Drops[transport.DropMalformed]++
		return
	}
	if s.cfg.Open != nil {
		plain, err := s.cfg.Open.OpenRTCP(s.scratch[:0], b)
		if err != nil {
			s.stats.Drops[openError(err)]++
			return
		}
		s.scratch, b = plain, plain
	}
	f, err := wire.ParseFeedback(b)
	if err != nil || f.Media>>wire.EpochBits != s.cfg.Tag {
		s.stats.Drops[transport.DropMalformed]++
		return
	}
	s.tracker.Patient(s.patient(at))
	s.events, err = s.tracker.Feedback(came, &f, s.events[:0])
	if err != nil {
		s.stats.Drops[transport.DropLyingReport]++
		return
	}
	s.stats.Feedback++
	if s.breaker.minimum(at) {
		s.wantKey = true // the path is back, and others refer to what it lost
	}
	s.breaker.heard()
	s.settle(at, came)
}

// settle acts on s.events, of a report that came then or of what has been concluded now.
func (s *Sender) settle(now, came time.Duration) {
	s.held = false
	s.packets = s.packets[:0]
	for i := range s.events {
		e := &s.events[i]
		if (e.Outcome == arq.Late) == e.Presumed && e.Sent >= s.pathAt { // the first that is certain
			s.packets = append(s.packets, congestion.Packet{
				Sent: e.Sent, Arrival: e.Arrival, Size: e.Size, Lost: e.Outcome == arq.Lost || e.Outcome == arq.Certain, CE: e.ECN == ecnCE,
			})
			if e.ECN == ecnCE {
				s.stats.Marked++
			}
		}
		if e.Outcome == arq.Certain {
			continue
		}
		s.hole.note(e)
		s.policy.fate(e.Sequence, e.Sent, e.Outcome == arq.Lost)
		s.note(now, e)
	}
	for _, lost := range s.tracker.Fates() {
		s.policy.observe(s.zero.Add(now), now, lost)
	}
	if len(s.packets) > 0 {
		s.cfg.Controller.Feedback(came, s.tracker.RTT().Min(), s.packets)
		s.look(now)
	}
	s.serveTouched(now)
}

// NextTimeout is when AppendDatagram has something to do if nothing happens before.
func (s *Sender) NextTimeout() time.Time {
	if s.closed {
		return time.Time{}
	}
	var at time.Duration
	earliest := func(t time.Duration) {
		if t > 0 && (at == 0 || t < at) {
			at = t
		}
	}
	if s.pending() {
		earliest(max(1, s.pace, s.breaker.until()))
	}
	earliest(s.tracker.NextTimeout())
	if due := s.later.due(); due > 0 {
		earliest(max(due, s.pace, s.breaker.until()))
	}
	if due := s.probing.due(); due > 0 {
		earliest(max(due, s.pace, s.breaker.until()))
	}
	if due := s.seek(); due > 0 {
		earliest(max(due, s.pace, s.breaker.until()))
	}
	if s.padding {
		earliest(max(1, s.pace, s.breaker.until()))
	}
	if s.advised {
		earliest(s.advice.NextTimeout())
	}
	if !s.stretches() {
		earliest(s.breaker.due(s.tracker.PacketsInFlight() > 0))
	}
	if at == 0 {
		return time.Time{}
	}
	return s.zero.Add(at)
}
