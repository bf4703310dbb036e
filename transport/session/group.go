package session

import (
	"time"

	"github.com/fairlead-live/fairlead/fec"
)

// group is the block that may still take in frames. Where one or two rounds fit and the latency leaves room, several
// frames are protected together, for parity behind 56 packets does more than a quarter of it behind each 14: fec.md §2.4
// and 4.1. No source packet waits for it; the parity does, until the last frame of the block is written.
//
//	frame 1 ── frame 2 ── frame 3 ── parity            deadline of the block: that of frame 1
//	base ─────────── count ────────┤                   deadline of a packet: its frame's, mediaPacket.extra later
//
// Audio frames between the frames lie in its range and are no part of it: they have blocks of their own.
type group struct {
	id      int64 // 0: none
	frames  int   // it has
	want    int   // it is closed with so many
	gap     time.Duration
	capture time.Duration // of the newest frame of video
}

// groupMargin is what must be left of the last round for a block of more than one frame, beside the time to send its
// answers: ours. Cells of the grid where the frames just fit lose more than the longer block saves.
const groupMargin = 8 * time.Millisecond

// mostGap bounds the time between frames that are protected together: ours, 12 frames/s.
const mostGap = 80 * time.Millisecond

// saw learns the time between frames of video.
func (g *group) saw(capture time.Duration) {
	d := capture - g.capture
	g.capture = capture
	switch {
	case d <= 0 || d > time.Second:
	case g.gap == 0:
		g.gap = d
	default:
		g.gap += (d - g.gap) / 8
	}
}

// groupFrames is how many frames of k packets make a block that begins now. With two further rounds only where much is
// lost, and not in long bursts: 20 % at 60/200 costs 30.3 instead of 31.3 % then; less loss gains nothing. In bursts of 8 the longer block leaves its last round
// 10 to 25 ms, which is less than a burst at times: 1.6e-3 of the frames are lost instead of 1.2e-3, at the same cost.
func (s *Sender) groupFrames(now, capture time.Duration, k int, c fec.Class) int {
	if s.policy.off || s.policy.copies || c != fec.Reference || s.group.gap == 0 || s.group.gap > mostGap {
		return 1
	}
	answers := s.policy.loss.Estimate().Loss
	if s.policy.bursty() {
		answers *= 2
	}
	rounds := func(frames int) int {
		more := time.Duration(frames-1) * s.group.gap
		if frames > 1 {
			more += groupMargin + time.Duration(float64(frames*k)*answers)*s.perPacket()
		}
		return s.further(now+more, capture, k)
	}
	if n := rounds(1); n > 2 || n == 2 && (s.policy.plan.Setting().Burst >= longBurst || s.policy.loss.Estimate().Loss < dearLoss) {
		return 1
	}
	return s.policy.plan.Blocks(k, c, rounds)
}

// further is how many rounds follow the first sending of a frame of k packets written now.
func (s *Sender) further(now, capture time.Duration, k int) int {
	left := capture + s.cfg.Latency - s.late() - now - time.Duration(k)*s.perPacket() - s.lastWire()
	return max(0, int(left/s.roundTime()))
}

// join takes the k packets of a frame into the open block, if there is one and they fit.
func (s *Sender) join(now, capture time.Duration, base int64, k int, c fec.Class) bool {
	b := s.block(s.group.id)
	if b == nil || !b.open {
		return false
	}
	extra := (capture - b.capture).Milliseconds()
	if c != fec.Reference || b.over || base+int64(k)-b.base > fec.MaxCount || extra < 0 || extra > 1<<15 {
		s.closeGroup(now)
		return false
	}
	b.foreign += int(base - b.base - int64(b.count))
	b.count = int(base-b.base) + k
	b.unsent += k
	b.extra = uint16(extra)
	s.queueSources(b, base, k, queueMedia)
	if s.group.frames++; s.group.frames >= s.group.want {
		s.closeGroup(now)
	}
	return true
}

// closeGroup ends the open block and sends its parity.
func (s *Sender) closeGroup(now time.Duration) {
	b := s.block(s.group.id)
	s.group.id = 0
	if b == nil || !b.open {
		return
	}
	b.open, b.end = false, true
	s.protect(now+time.Duration(b.unsent)*s.perPacket(), now+s.backlog(now), b)
}

// queueSources queues the first sendings of k packets of b.
func (s *Sender) queueSources(b *block, base int64, k, q int) {
	for i := range int64(k) {
		*s.packet(base + i) = mediaPacket{block: b.id, extra: b.extra}
		s.queues[q].push(item{kind: sendSource, ref: base + i, deadline: b.last()})
	}
}

// backlogShare is how much of the time between frames a frame behind a backlog may fill with its packets and their repairs, in quarters: ours. Without a
// bound the repairs of one frame are the backlog of the next, which then has no round either, and so on.
const backlogShare = 3

// protect queues the repairs that go ahead for b, whose packets are all sent at sent, and would be at alone if nothing waited before them: behind a key
// frame fewer rounds are left than a frame of its size has.
func (s *Sender) protect(alone, sent time.Duration, b *block) {
	q := queueMedia
	if b.class == fec.Audio {
		q = queueAudio
	}
	if s.pressed() {
		b.price = s.policy.none(b.class)
		return
	}
	k, rounds := b.count-b.foreign, s.rounds(alone, b)-1
	ahead, price := s.policy.ahead(k, rounds, float64(b.deadline-alone)/float64(s.roundTime()), b.class)
	if fewer := s.rounds(sent, b) - 1; fewer < rounds && fewer > 0 {
		most := int(s.group.gap/s.perPacket())*backlogShare/4 - k
		more, dearer := s.policy.ahead(k, fewer, float64(b.deadline-sent)/float64(s.roundTime()), b.class)
		ahead, price = max(ahead, min(more, most)), max(price, dearer)
	}
	b.price = price
	for range ahead {
		if s.queues[q].push(item{kind: sendRepair, ref: b.id, frame: noFrame, deadline: b.deadline}) {
			b.answers++
		}
	}
}
