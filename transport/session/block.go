package session

import (
	"time"

	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/transport"
)

func classOf(f *transport.Frame) fec.Class {
	switch {
	case f.Codec.IsAudio():
		return fec.Audio
	case f.Flags.Has(transport.Key) || f.Flags.Has(transport.Config):
		return fec.Key
	case f.Flags.Has(transport.Droppable):
		return fec.Droppable
	}
	return fec.Reference
}

// block is a run of media packets that are protected together.
//
//	need = count − foreign − here + stray − repairs here  symbols the receiver still lacks; stray: while it lacks packets of the block
//	lost = need − first sendings in flight      of them, the ones that need an answer
type block struct {
	id       int64
	base     int64
	count    int // packets from base on, with the foreign ones
	foreign  int // of them, audio between the frames of the block: no part of it
	class    fec.Class
	price    fec.Price
	capture  time.Duration
	deadline time.Duration // latest useful time to send for its first frame
	extra    uint16        // ms by which its last frame's is later
	open     bool          // frames may still join it: see group
	end      bool          // its frame ends with it
	slides   bool          // no round fits: a sliding window protects it, and feedback comes too late
	unsent   int           // first sendings that wait for the pacer
	first    int           // first sendings in flight
	here     int           // media packets the receiver has
	stray    int           // of the foreign packets, those it may lack: unknowns of the repairs, too
	repairs  int           // repair symbols it has
	answers  int           // resends and repairs, also those sent ahead, queued or in flight
	answered time.Duration // when the newest answer was queued
	checked  bool          // overdue will look at it
	round    uint8
	alone    bool // a repair was of no use: none counts any more, neither one that came nor one on its way, and the packets go themselves
	over     bool // complete, or given up
	touched  bool
}

func (b *block) need() int {
	n := b.count - b.foreign - b.here
	if n > 0 {
		n += b.stray
	}
	return n - b.repairs
}

// unrepairable takes note that the receiver had no use for a repair of b.
func (s *Sender) unrepairable(b *block) {
	if b.alone {
		return
	}
	b.alone = true
	b.over = b.over && b.need() > 0 // given up, and not taken for whole
	b.repairs, b.stray, b.answers = 0, 0, 0
	for n := b.base; n < b.base+int64(b.count); n++ {
		if p := s.packet(n); p.block == b.id && s.valid(n) && !p.here {
			b.answers += int(p.flying)
		}
	}
}

// strays counts the foreign packets of b that the receiver may lack.
func (s *Sender) strays(b *block) (n int) {
	if b.foreign == 0 || b.repairs == 0 {
		return 0
	}
	for q := b.base; q < b.base+int64(b.count); q++ {
		if p := s.packet(q); p.block != b.id && !p.here {
			n++
		}
	}
	return n
}

// last is the latest useful time to send for its last frame.
func (b *block) last() time.Duration { return b.deadline + time.Duration(b.extra)*time.Millisecond }

// got takes note that p is at the receiver. Copies of it that are on their way answer no loss any more.
func (b *block) got(p *mediaPacket) {
	if p.here {
		return
	}
	p.here = true
	b.here++
	b.answers -= int(p.flying)
	p.flying = 0
}

func (s *Sender) block(id int64) *block {
	if b := &s.blocks[id&(blockRing-1)]; b.id == id {
		return b
	}
	return nil
}

func (s *Sender) packet(n int64) *mediaPacket { return &s.media[n&int64(len(s.media)-1)] }

// valid reports whether media packet n is still in the send buffer.
func (s *Sender) valid(n int64) bool {
	return n >= 0 && n < s.nextMedia && n >= s.nextMedia-int64(len(s.media))
}

// addBlocks makes blocks of the k packets of a frame and queues them, each with the repairs that go ahead.
func (s *Sender) addBlocks(now, capture time.Duration, base int64, k int, c fec.Class) {
	q := queueMedia
	if c == fec.Audio {
		q = queueAudio
	}
	slides := s.windowSpan(now, capture, k) > 0 && !s.pressed()
	if c != fec.Audio {
		s.group.saw(capture)
		if slides {
			s.closeGroup(now)
		} else if s.join(now, capture, base, k, c) {
			return
		}
	}
	frames := 1
	if !slides {
		frames = s.groupFrames(now, capture, k, c)
	}
	for done := 0; done < k; {
		n := fec.SubBlock(k - done)
		if frames > 1 {
			n = k
		}
		s.nextBlock++ // from 1: a zero block is no block
		b := &s.blocks[s.nextBlock&(blockRing-1)]
		*b = block{
			id: s.nextBlock, base: base + int64(done), count: n, class: c, unsent: n, open: frames > 1,
			capture: capture, deadline: capture + s.cfg.Latency - s.late(), end: done+n == k && frames == 1, slides: slides,
		}
		done += n
		s.queueSources(b, b.base, n, q)
		switch {
		case slides:
			for range s.policy.slide(n, s.windowPackets(now)) {
				s.queues[q].push(item{kind: sendWindow, ref: b.base + int64(n), deadline: b.deadline})
			}
		case b.open:
			s.group.id, s.group.frames, s.group.want = b.id, 1, frames
			b.price = s.policy.plan.Proactive(frames*k, 1, c, 0).Price
			s.later.push(item{kind: shutGroup, ref: b.id, at: now + time.Duration(frames)*s.group.gap - s.group.gap/2})
		default:
			s.protect(now+time.Duration(done)*s.perPacket(), now+s.backlog(now), b)
		}
	}
}

// backlog is how long what waits in the media queue takes to send: a frame behind a key frame leaves when that is out.
func (s *Sender) backlog(now time.Duration) time.Duration {
	return max(0, s.pace-now) + time.Duration(s.queues[queueMedia].len())*s.perPacket()
}

// perPacket is the time between two packets on the wire.
func (s *Sender) perPacket() time.Duration {
	return max(s.cfg.Controller.PacingRate(), s.budget.pace).Time(s.cfg.MTU + ipUDP)
}

// windowSpan is the time a sliding window covers for a frame of k packets written now, 0 when a round of recovery fits.
func (s *Sender) windowSpan(now, capture time.Duration, k int) time.Duration {
	sent := now + time.Duration(k)*s.perPacket()
	deadline := capture + s.cfg.Latency - s.late()
	if !s.tracker.RTT().Known() || sent > deadline || deadline-sent >= s.roundTime() {
		return 0
	}
	return deadline - sent
}

// windowPackets is how many of the newest media packets may still be in time, at most as many as a repair covers.
func (s *Sender) windowPackets(now time.Duration) int {
	n := 0
	for id := s.nextBlock; id > 0; id-- {
		b := s.block(id)
		if b == nil || b.deadline < now || n+b.count > fec.MaxCount {
			break
		}
		n += b.count
	}
	return max(n, 1)
}

// late is how much sooner than the latency a packet must leave: the queue that stands on the path now, and
// a millisecond for the grain of our clocks.
func (s *Sender) late() time.Duration {
	r := s.tracker.RTT()
	return time.Millisecond + max(0, r.Smoothed()-max(r.Min(), time.Millisecond))/2
}

// rounds is how many transmissions are left for b, one at now included: fec.md §4.4.
func (s *Sender) rounds(now time.Duration, b *block) int {
	left := b.deadline - now
	if left < 0 {
		if now <= b.last() {
			return 1
		}
		return 0
	}
	wire := s.lastWire()
	if s.policy.bursty() {
		switch {
		case b.price >= dearest:
			wire = dearWire * s.perPacket()
		case b.class == fec.Key && s.policy.heavy():
			wire = keyWire * s.perPacket()
		}
	}
	return 1 + int(max(0, left-wire)/s.roundTime())
}

// dearWire is how many packets must still fit into the last round of a block that is not to be lost: ours, for G4. With six,
// bursts of 8 at 10 % took one frame of 20 000.
const dearWire = 24

// keyWire is the same for a key frame where much is lost in bursts: ours, from the grid. At 60/200, 20 % in bursts of 8, 4 of 200 are lost with
// nine, none with 16.
const keyWire = 16

// lastWire is how long before the deadline the answers of the last round must be known to be wanted, so that some packets
// still fit: ours, two, six where losses come in bursts, and nine where they are many as well.
func (s *Sender) lastWire() time.Duration {
	switch {
	case !s.policy.bursty():
		return 2 * s.perPacket()
	case s.policy.heavy():
		return 9 * s.perPacket()
	}
	return 6 * s.perPacket()
}
