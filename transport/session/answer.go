package session

import (
	"slices"
	"time"

	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/transport/arq"
)

// What answers losses, until a block is whole or given up.

// overdueLead is how long before the deadline of a block answers of which nothing was heard count as lost, although they
// may yet have arrived: ours, a dozen packets at 12 Mbit/s. What is sent then is wasted only when reports were lost.
// Where the report is expected after that it is waited for, up to overdueLast.
const (
	overdueLead = 10 * time.Millisecond
	overdueLast = 1500 * time.Microsecond
)

// remind does what an item without a datagram is about, and reports whether it is one.
func (s *Sender) remind(now time.Duration, it item) bool {
	switch b := s.block(it.ref); {
	case it.kind != lookAgain && it.kind != shutGroup:
		return false
	case b == nil:
	case it.kind == lookAgain:
		s.overdue(now, b)
	case s.group.id == b.id:
		s.closeGroup(now)
	}
	return true
}

// overdue sends once more for a block whose answers should have been reported on by now.
func (s *Sender) overdue(now time.Duration, b *block) {
	b.checked = false
	waited := now - b.answered
	if b.over || b.answers == 0 || waited < s.tracker.RTT().Smoothed() || waited < s.answerTime() && now < b.deadline-overdueLead {
		return
	}
	s.answer(now, b, true, 0)
}

// answerTime is how long after an answer a report on it is expected, at the latest.
func (s *Sender) answerTime() time.Duration {
	r := s.tracker.RTT()
	return r.Smoothed() + 2*r.Var() + reportQuiet
}

// roundTime is what one round of recovery takes: fec.md §4.4, with the delay's 90th percentile for its 95th.
func (s *Sender) roundTime() time.Duration {
	r := s.tracker.RTT()
	return max(time.Millisecond, r.Smoothed()+2*r.Var()+s.tracker.RoundDelay())
}

// note brings the state of a media packet and of its block up to date.
func (s *Sender) note(now time.Duration, e *arq.Event) {
	var b *block
	switch e.Kind {
	case arq.Source, arq.Resend:
		if !s.valid(e.Ref) {
			return
		}
		p := s.packet(e.Ref)
		if b = s.block(p.block); b == nil {
			return
		}
		switch {
		case e.Outcome == arq.Late:
		case e.Kind == arq.Source:
			p.first = false
			b.first--
		case !p.here:
			p.flying--
			b.answers--
		}
		if e.Outcome != arq.Lost && e.Ref >= b.base {
			b.got(p)
		}
	case arq.Repair:
		if b = s.block(e.Ref); b == nil {
			return
		}
		if e.Outcome != arq.Late && !b.alone {
			b.answers--
		}
		switch {
		case e.Unused:
			s.unrepairable(b)
		case e.Outcome != arq.Lost && s.decodable(b) && !b.alone:
			b.repairs++
		}
	case arq.Notice: // without it the receiver waits for what will not come
		base, count := unpackNotice(e.Ref)
		if !s.valid(base) || e.Outcome != arq.Lost {
			return
		}
		if b = s.block(s.packet(base).block); b != nil && now < b.capture+s.most() {
			s.queues[queueControl].push(item{kind: sendNotice, ref: notice(base, count), deadline: b.deadline + s.most()})
		}
		return
	default:
		return
	}
	if !b.touched && !b.over {
		b.touched = true
		s.touched = append(s.touched, b.id)
	}
}

// serveTouched answers the losses of the last events, of the oldest block first. What an outage took is many blocks at once, whose answers need the same time.
func (s *Sender) serveTouched(now time.Duration) {
	slices.Sort(s.touched)
	lacks := func(id int64) int {
		if b := s.block(id); b != nil && !b.over {
			return max(0, b.need()-b.first-b.unsent)
		}
		return 0
	}
	all := 0
	for _, id := range s.touched {
		all += lacks(id)
	}
	for _, id := range s.touched {
		if b := s.block(id); b != nil {
			b.touched = false
			s.serve(now, b, all-lacks(id))
		}
	}
	s.touched = s.touched[:0]
}

// serve sees to it that enough is on its way for what b lacks: first the missing media packets themselves,
// which are of use even if the block fails, then repair symbols. others is how many packets other blocks lack that need the same time.
func (s *Sender) serve(now time.Duration, b *block, others int) {
	if !b.over && b.repairs > 0 && b.here+b.foreign < b.count && !s.decodable(b) {
		b.repairs = 0 // the other end's decoder has forgotten them
	}
	b.stray = s.strays(b)
	need := b.need()
	if b.over || need <= 0 {
		b.over = b.over || b.unsent == 0
		return
	}
	lost := need - b.first - b.unsent
	if lost <= 0 {
		return
	}
	s.stretch(now, b)
	if s.rounds(now, b) == 0 {
		if b.slides { // nobody here knows whether the window made up for it
			b.over = true
			return
		}
		if b.answers < lost { // else they may still be in time
			s.giveUp(now, b)
		}
		return
	}
	if b.answers >= lost && b.answered+s.roundTime() <= b.deadline {
		return // what is on its way is enough, and should it be lost there is time to know and to act
	}
	s.answer(now, b, false, others)
}

// answer queues resends and repairs for what b lacks and is not on its way. blind: what is on its way counts as lost. others: packets that
// other blocks lack, which leave meanwhile.
func (s *Sender) answer(now time.Duration, b *block, blind bool, others int) {
	lost, left := b.need()-b.first-b.unsent, s.rounds(now, b)
	if lost <= 0 || left == 0 {
		return
	}
	flying := b.answers
	if blind {
		flying = 0
	}
	want, gap := lost-flying, time.Duration(0)
	switch {
	case s.pressed():
	case left == 1 && s.policy.bursty(): // no report will come in time: use the time there is to get out of a burst
		end := b.deadline
		if now > end {
			end = b.last()
		}
		s.recall(b)
		want, gap = s.policy.last(now, b.need()-b.unsent, b.price, end-now-spreadMargin-time.Duration(others)*s.perPacket(), s.perPacket(), s.inFlight(now, b))
	default:
		want = s.policy.answer(lost, left, b.price) - flying
	}
	if b.unsent > 0 { // repairs cover what was sent, and what was not is worth as much as any
		want = min(want, lost-b.answers)
	}
	if want <= 0 {
		return
	}
	b.round++
	b.answered = now
	if left == 2 && !b.checked {
		heard := now + s.answerTime()
		b.checked = s.later.push(item{kind: lookAgain, ref: b.id, at: min(max(heard, b.deadline-overdueLead), b.deadline-overdueLast)})
	}
	it := item{kind: sendResend, deadline: b.last(), at: now, round: b.round}
	for n := b.base; n < b.base+int64(b.count) && want > 0; n++ {
		if p := s.packet(n); p.block == b.id && p.sent && !p.first && !p.here && p.flying == 0 && s.valid(n) && s.encoder.Covers(n, 1) {
			it.ref = n
			if !s.answerWith(it, now) {
				return
			}
			p.flying++
			b.answers++
			want--
			it.at += gap
		}
	}
	repairable := s.repairable(now, b)
	for n := b.base; want > 0; want-- {
		if repairable {
			it.kind, it.ref = sendRepair, b.id
		} else if n = s.missing(b, n); n >= 0 { // too old for the decoder: the missing packets once more, in turn
			it.kind, it.ref = sendResend, n
			s.packet(n).flying++
			n++
		} else {
			return
		}
		if !s.answerWith(it, now) {
			if it.kind == sendResend {
				s.packet(it.ref).flying--
			}
			return
		}
		b.answers++
		it.at += gap
	}
}

// recall takes back the answers to the losses of b that are to leave later.
func (s *Sender) recall(b *block) {
	kept := s.later.items[:0]
	for _, it := range s.later.items {
		if it.kind == sendRepair && it.ref == b.id || it.kind == sendResend && s.packet(it.ref).block == b.id {
			s.unqueue(it)
			continue
		}
		kept = append(kept, it)
	}
	s.later.items = kept
}

// inFlight lends when each packet of b left that is on its way, first sendings among them; now is for those that wait for the pacer alone.
// What should have been reported on by now counts as lost.
func (s *Sender) inFlight(now time.Duration, b *block) []time.Duration {
	s.flying = s.flying[:0]
	old := now - s.answerTime()
	s.tracker.Flying(func(kind arq.Kind, ref int64, sent time.Duration) {
		switch kind {
		case arq.Source, arq.Resend:
			if s.packet(ref).block != b.id || s.packet(ref).here {
				return
			}
		case arq.Repair:
			if ref != b.id {
				return
			}
		default:
			return
		}
		if sent >= old && len(s.flying) < fec.LastFlying {
			s.flying = append(s.flying, sent)
		}
	})
	for _, q := range [...]*queue{&s.queues[queueRepair], &s.queues[queueMedia]} {
		for i := q.head; i < q.tail && len(s.flying) < fec.LastFlying; i++ {
			if it := &q.items[i%len(q.items)]; it.kind == sendRepair && it.ref == b.id || it.kind == sendResend && s.packet(it.ref).block == b.id {
				s.flying = append(s.flying, now)
			}
		}
	}
	return s.flying
}

// missing is the first media packet of b from n on, cyclically, that the receiver lacks; -1: none can be sent again.
func (s *Sender) missing(b *block, n int64) int64 {
	for i := range int64(b.count) {
		m := b.base + (n-b.base+i)%int64(b.count)
		if p := s.packet(m); p.block == b.id && s.valid(m) && p.sent && !p.first && !p.here && p.flying < maxCopies && s.encoder.Covers(m, 1) {
			return m
		}
	}
	return -1
}

// maxCopies bounds how often one media packet is on its way at once: ours.
const maxCopies = 32

// spreadMargin is how long before the deadline the last of the answers spread over time leaves: ours.
const spreadMargin = time.Millisecond

// pushRepair queues what answers a loss: what is due first goes first. Where the latency may grow what is late is not lost, and a path that carries less than
// the stream would see nothing but what is oldest; one that carries it has 11 frames late at 20 % loss where 25 are without that order (of 1350).
func (s *Sender) pushRepair(it item) bool {
	if s.pressed() {
		return s.queues[queueRepair].push(it)
	}
	return s.queues[queueRepair].pushDue(it)
}

func (s *Sender) answerWith(it item, now time.Duration) bool {
	if it.at > now {
		return s.later.push(it)
	}
	return s.pushRepair(it)
}

// repairable reports whether a repair of b is of use: its packets are in our ring, and in the window of the other
// end's decoder. Where the latency is longer than that window, symbols of the early rounds would be forgotten before
// the last one: then only the missing packets themselves are sent again, but at the end.
func (s *Sender) repairable(now time.Duration, b *block) bool {
	return !(s.policy.copies && s.rounds(now, b) > 1) && b.unsent == 0 && !b.open && !b.alone && s.encoder.Covers(b.base, b.count) && s.decodable(b)
}

// decodable reports whether b will still be in the window of the other end's decoder when what is sent now arrives: sound that
// went ahead of pictures that wait moves it, too.
func (s *Sender) decodable(b *block) bool { return b.base > s.newest-decoderSymbols+decoderMargin }

// decoderMargin is how many media packets may arrive ahead of what is sent now: ours, a frame and a half.
const decoderMargin = 24

// sentUpTo is the media sequence number after the newest one on the wire.
func (s *Sender) sentUpTo() int64 {
	n := s.nextMedia
	for _, q := range [...]*queue{&s.queues[queueAudio], &s.queues[queueMedia]} {
		for i := q.head; i < q.tail; i++ {
			if it := q.items[i%len(q.items)]; it.kind == sendSource {
				n = min(n, it.ref)
				break
			}
		}
	}
	return n
}

// giveUp ends the work on a block that can no longer be completed in time.
func (s *Sender) giveUp(now time.Duration, b *block) {
	if b.over {
		return
	}
	b.over = true
	if b.class != fec.Droppable && b.class != fec.Audio {
		s.wantKey = true
	}
	if b.foreign == 0 { // a notice would speak of them, too
		s.queues[queueControl].push(item{kind: sendNotice, ref: notice(b.base, b.count), deadline: b.deadline + s.most()})
	}
	s.lost(now, b)
}
