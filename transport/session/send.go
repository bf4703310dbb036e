package session

import (
	"errors"
	"time"

	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/arq"
	"github.com/fairlead-live/fairlead/transport/srtp"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// paceBurst is how far the pacer may fall behind and catch up at once: ours. A timer is about as late; quic_cc.md 4.2
// allows slices of 2.5 ms, but each millisecond of them stands in the path's queue for the length of a frame.
const paceBurst = time.Millisecond

// paceCatch is the same where something was ready and only the pacer in its way: then it is this end that woke late, and what it
// missed goes at once. Ours: on a machine with more to do than it has cores a wake-up takes 10 to 30 ms, and a packet or two for
// each is less than a stream.
const paceCatch = 30 * time.Millisecond

// AppendDatagram appends the next datagram to dst, or reports false when nothing may be sent now.
func (s *Sender) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	if s.closed {
		return dst, false
	}
	at := s.since(now)
	s.watch(at)
	s.padding = s.padding && at < s.pace
	if at < s.pace || at < s.breaker.until() {
		s.behind = s.pending()
		return dst, false
	}
	if s.breaker.pause(at) {
		return s.keepAlive(dst, at)
	}
	s.held = false
	early := s.early()
	for due := s.later.due(); due > 0 && due <= at; due = s.later.due() {
		it := s.later.pop()
		if s.remind(at, it) {
			continue
		}
		if !s.pushRepair(it) {
			s.unqueue(it)
		}
	}
	for q := range s.queues {
		for {
			it, ok := s.queues[q].peek()
			if !ok || q == queueAudio && early {
				break
			}
			if q == queueMedia && s.skipped(at, it) {
				continue
			}
			if it.kind != sendNotice && (q != queueAudio || s.bloated()) && s.blocked(at, it) {
				s.held = true
				break
			}
			s.take(q, it)
			if out, ok := s.build(dst, at, it); ok {
				if q != queueMedia {
					s.budget.first.add(at, len(out)-len(dst)+ipUDP)
				}
				return out, true
			}
		}
	}
	if due := s.probing.due(); due > 0 && at >= due || s.seek() > 0 && at >= s.seek() {
		s.stats.Probes++
		body := wire.AppendProbe(s.header(dst, at), uint32(s.sentUpTo()))
		return s.finish(dst, body, at, arq.Control, 0), true
	}
	s.behind = false
	if !s.held {
		return s.pad(dst, at)
	}
	return dst, false
}

// skipped looks at the media queue's next item: it begins a picture, or belongs to one that was dropped and is passed over.
func (s *Sender) skipped(now time.Duration, it item) bool {
	if it.frame == noFrame {
		return false
	}
	p := s.picture(it.frame)
	if !p.dropped && !p.started {
		s.choose(now)
		p.started = !p.dropped
	}
	if !p.dropped {
		return false
	}
	s.pass(it)
	return true
}

// pass takes an item of a picture that was dropped out of the media queue.
func (s *Sender) pass(it item) {
	s.take(queueMedia, it)
	switch it.kind {
	case sendSource:
		m := s.packet(it.ref)
		m.sent = true
		if b := s.block(m.block); b != nil && s.valid(it.ref) {
			b.unsent--
		}
	case sendRepair:
		s.unqueue(it)
	}
}

// watch does what time alone brings about.
func (s *Sender) watch(now time.Duration) {
	s.events = s.tracker.Timeout(now, s.events[:0])
	if len(s.events) > 0 {
		s.settle(now, now)
	}
	if gone := s.breaker.minimum(now) && (!s.stretches() || s.breaker.pause(now)); gone && !s.breaker.forgot && s.tracker.PacketsInFlight() > 0 {
		// Where the latency may grow it may all come yet before that: what arrives next will tell.
		s.breaker.forgot = true
		s.events = s.tracker.Forget(now, s.events[:0])
		s.settle(now, now)
	}
}

// seekAfter is how long nothing was sent before a probe asks what became of what is in flight, at the least: ours. Else the last packet of a stream, or of one
// that pauses, is not missed by anybody; nor is a window full of packets that were all lost, behind which everything waits.
const seekAfter = 100 * time.Millisecond

// seek is when such a probe is due; 0: never.
func (s *Sender) seek() time.Duration {
	if s.tracker.PacketsInFlight() == 0 {
		return 0
	}
	for q := range s.queues {
		if s.queues[q].len() > 0 && !s.held {
			return 0
		}
	}
	return s.sentAt + max(seekAfter, s.answerTime())
}

// blocked reports whether the inflight cap holds it back, which is not asked for sound: it is little, and never left out. Beyond three intervals and a round trip without feedback,
// only first sendings go; the breaker's least rate goes whatever is in flight, for something has to find out when the path is back.
func (s *Sender) blocked(now time.Duration, it item) bool {
	if s.tracker.BytesInFlight() >= s.window(now) && !s.breaker.minimum(now) {
		return true
	}
	return it.kind != sendSource && s.breaker.silent(now, s.tracker.RTT().Smoothed()) && it.round > 0
}

// pending reports whether something waits that the pacer alone holds back.
func (s *Sender) pending() bool {
	for q := range s.queues {
		if s.queues[q].len() > 0 && (!s.held || q == queueControl) {
			return true
		}
	}
	return false
}

// build makes the datagram of an item, or reports false when it is of no use any more.
func (s *Sender) build(dst []byte, now time.Duration, it item) ([]byte, bool) {
	switch it.kind {
	case sendSource:
		return s.buildSource(dst, now, it)
	case sendResend:
		return s.buildResend(dst, now, it)
	case sendRepair:
		return s.buildRepair(dst, now, it)
	case sendWindow:
		return s.buildWindow(dst, now, it)
	}
	base, count := unpackNotice(it.ref)
	body := wire.AppendAbandon(s.header(dst, now), wire.Abandon{Base: uint32(base), Count: uint16(count)})
	return s.finish(dst, body, now, arq.Notice, it.ref), true
}

func (s *Sender) buildSource(dst []byte, now time.Duration, it item) ([]byte, bool) {
	p := s.packet(it.ref)
	b := s.block(p.block)
	if b == nil || !s.valid(it.ref) {
		return dst, false
	}
	b.unsent--
	p.sent = true
	s.stretch(now, b)
	if now > max(it.deadline, b.last()) || b.over {
		if now > b.last() {
			s.giveUp(now, b)
		}
		return dst, false
	}
	b.first++
	p.first = true
	s.newest = max(s.newest, it.ref+1)
	body := append(s.header(dst, now), byte(wire.TypeSource))
	body = append(body, s.encoder.Payload(it.ref)...)
	if probes := s.probes(now, b); b.unsent == 0 && b.end && probes > 0 {
		s.probing.sent(now, probes)
	}
	out := s.finish(dst, body, now, arq.Source, it.ref)
	s.stats.SourceBytes += uint64(len(out) - len(dst))
	return out, true
}

// probes is how many probes follow the end of a frame. A lone packet is followed by others soon enough; and where many
// rounds fit, the receiver's report on a frame without an end, or the next frame, tells as well.
func (s *Sender) probes(now time.Duration, b *block) int {
	left, lossy := s.rounds(now, b), s.policy.lossy(now)
	switch {
	case b.class == fec.Audio && b.count == 1, left >= 3:
		return 0
	}
	return 1 + s.lossyProbes(lossy)
}

func (s *Sender) lossyProbes(lossy bool) int {
	if lossy {
		return 1
	}
	return 0
}

func (s *Sender) buildResend(dst []byte, now time.Duration, it item) ([]byte, bool) {
	p := s.packet(it.ref)
	b := s.block(p.block)
	payload := s.encoder.Payload(it.ref)
	if b == nil || !s.valid(it.ref) {
		return dst, false
	}
	if p.here {
		return dst, false
	}
	s.stretch(now, b)
	if b.over || now > s.useful(b, p) || payload == nil || s.swallowed(len(payload)) {
		p.flying--
		s.withdraw(now, b)
		return dst, false
	}
	s.stats.Resends++
	if s.hole.lost >= longLost/2 { // is it the length, or the path? A short one may tell
		s.probing.sent(now, 1)
	}
	body := append(append(s.header(dst, now), byte(wire.TypeResend)), payload...)
	return s.finish(dst, body, now, arq.Resend, it.ref), true
}

func (s *Sender) buildRepair(dst []byte, now time.Duration, it item) ([]byte, bool) {
	b := s.block(it.ref)
	if b == nil {
		return dst, false
	}
	s.stretch(now, b)
	if b.alone {
		return dst, false
	}
	if b.need() <= 0 || b.over || now > b.last() || !s.decodable(b) || !s.encoder.Covers(b.base, b.count) {
		s.withdraw(now, b)
		if !s.decodable(b) { // what is newer went ahead while it waited: the packets go themselves, for no report may speak of this block again
			s.serve(now, b, 0)
		}
		return dst, false
	}
	r := wire.Repair{
		Base: uint32(b.base), Count: b.count, Row: s.encoder.NextRow(), Round: it.round,
		Deadline: uint16(min(1<<16-1, max(0, (b.deadline-now).Milliseconds()))),
	}
	switch b.class {
	case fec.Key:
		r.Flags |= wire.RepairKey
	case fec.Audio:
		r.Flags |= wire.RepairAudio
	}
	body := wire.AppendRepairHeader(s.header(dst, now), &r)
	body, ok := s.encoder.AppendRepair(body, b.base, b.count, r.Row)
	if !ok {
		b.answers--
		return dst, false
	}
	s.stats.Repairs++
	return s.finish(dst, body, now, arq.Repair, b.id), true
}

// withdraw takes back an answer that was queued for b and is of no use any more.
func (s *Sender) withdraw(now time.Duration, b *block) {
	b.answers--
	if now > b.last() && b.answers < b.need()-b.first-b.unsent {
		s.giveUp(now, b)
	}
}

// buildWindow makes a repair over the packets before it.ref whose deadline has not passed.
func (s *Sender) buildWindow(dst []byte, now time.Duration, it item) ([]byte, bool) {
	base, end := it.ref, it.ref
	for base > 0 && s.valid(base-1) {
		b := s.block(s.packet(base - 1).block)
		if b == nil || b.deadline < now || end-b.base > fec.MaxCount {
			break
		}
		base = b.base
	}
	count := int(end - base)
	if count <= 0 || !s.encoder.Covers(base, count) {
		return dst, false
	}
	r := wire.Repair{
		Base: uint32(base), Count: count, Row: s.encoder.NextRow(), Flags: wire.RepairSliding,
		Deadline: uint16(min(1<<16-1, max(0, (it.deadline-now).Milliseconds()))),
	}
	body, ok := s.encoder.AppendRepair(wire.AppendRepairHeader(s.header(dst, now), &r), base, count, r.Row)
	if !ok {
		return dst, false
	}
	s.stats.Repairs++
	return s.finish(dst, body, now, arq.Control, 0), true
}

// unqueue takes back that an answer was on its way.
func (s *Sender) unqueue(it item) {
	id := it.ref
	if it.kind == sendResend {
		p := s.packet(it.ref)
		if p.here {
			return
		}
		p.flying--
		id = p.block
	}
	if b := s.block(id); b != nil && !(b.alone && it.kind == sendRepair) {
		b.answers--
	}
}

// header appends an RTP header.
func (s *Sender) header(dst []byte, now time.Duration) []byte {
	return wire.AppendRTP(dst, wire.RTP{
		Sequence: uint16(s.tracker.Next()), SendTime: uint32(now.Microseconds()), SSRC: s.cfg.ssrc(),
	})
}

// finish seals the packet that begins at len(dst) and accounts for it.
func (s *Sender) finish(dst, packet []byte, now time.Duration, kind arq.Kind, ref int64) []byte {
	at := len(dst)
	index := s.tracker.Next()
	if s.cfg.Seal != nil {
		sealed, err := s.cfg.Seal.SealRTP(packet, at, index)
		if err != nil { // the indexes of this key are used up: rekeying was overdue by 2^46 packets
			s.closed = true
			return dst
		}
		packet = sealed
	}
	size := len(packet) - at + ipUDP
	s.probing.followed(now)
	s.tracker.Sent(now, kind, ref, size)
	s.cfg.Controller.Sent(now, size)
	s.breaker.sent(now)
	s.sentAt = now
	burst := paceBurst
	if s.behind {
		burst = paceCatch
	}
	s.pace = max(s.pace, now-burst) + s.spend(now, size)
	s.policy.packets.add(now, 1)
	s.stats.Datagrams++
	s.stats.BytesSent += uint64(len(packet) - at)
	return packet
}

// keepAlive asks for a sign of life once a second when the path has been silent for five.
func (s *Sender) keepAlive(dst []byte, now time.Duration) ([]byte, bool) {
	for q := range s.queues {
		for s.queues[q].len() > 0 { // what waits is stale by now: give its blocks up as they are met
			it, _ := s.queues[q].peek()
			if now <= it.deadline+s.most()-s.cfg.Latency {
				break
			}
			s.take(q, it)
			_, _ = s.build(dst, now, it)
		}
	}
	s.stats.Probes++
	body := wire.AppendProbe(s.header(dst, now), uint32(s.sentUpTo()))
	return s.finish(dst, body, now, arq.Control, 0), true
}

// openError is the drop reason of an error of package srtp.
func openError(err error) transport.DropReason {
	switch {
	case errors.Is(err, srtp.ErrReplayed):
		return transport.DropReplayed
	case errors.Is(err, srtp.ErrShort):
		return transport.DropMalformed
	}
	return transport.DropUnauthentic
}
