package session

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/fec"
)

// budget is the one account from which everything is paid that leaves: media, repairs, resends, notices, probes, padding. The
// controller grants a rate; the account earns at that rate and holds burst of it at most. While it is in credit packets
// leave at the controller's pacing rate, which is above the rate granted, so that a key frame is quick; then at the rate itself.
//
//	bytes in any second ≤ granted · 1 s + granted · burst
//
// Loss does not raise the sum: what answers it goes first, and media that does not fit any more is dropped by frames (pictures.go).
type budget struct {
	credit float64 // bytes; below 0: more than was earned
	at     time.Duration
	rate   congestion.Bitrate
	pace   congestion.Bitrate // at which the newest packet left
	need   rate               // bytes of media taken in, headers included
	first  meter              // bytes sent before media: sound, notices, answers to losses
}

const (
	// budgetBurst: ours. A key frame of four times the mean at 30 frames/s leaves at 1.25 of the rate within it.
	budgetBurst = 250 * time.Millisecond
	// shareMost is what repairs and resends may take of what media takes, in the encoder's target: above it a lower bitrate buys
	// more. Ours, as congestion.Split.
	shareMost = 0.5
	// backlogFree is what may wait for the pacer without being taken off the target, and drainIn is when the rest is to be gone.
	backlogFree = 80 * time.Millisecond
	drainIn     = 500 * time.Millisecond
	drainLate   = 0.9 // of the pictures' share goes to what waits where the latency may grow: what is late now makes the next standstill worse
	// padMost bounds the rate up to which padding explores the path at the start: ours.
	padMost = 10 * congestion.Mbps
)

// view is what a controller may know beside its rates; one that does not is believed as it is.
type view interface {
	Queue() time.Duration // at the bottleneck
	Capacity() congestion.Bitrate
	Lately() congestion.Bitrate // what Capacity was within the last seconds
	Reason() congestion.Reason
	Padding() bool // the path is being explored: fill up
}

// granted is the rate of the budget now.
func (s *Sender) granted(now time.Duration) congestion.Bitrate {
	return max(s.cfg.Controller.Budget(), s.doubt(now), s.catchUp(now))
}

// window is how many bytes may be in flight.
func (s *Sender) window(now time.Duration) int {
	w := s.cfg.Controller.Window()
	if c := s.catchUp(now); c > 0 && s.tracker.RTT().Known() {
		w = max(w, c.Bytes(s.tracker.RTT().Min()+catchUpStands))
	}
	if d := s.doubt(now); d > 0 && s.tracker.RTT().Known() {
		w = max(w, d.Bytes(s.tracker.RTT().Min()+doubtStands))
	}
	return max(w, s.still(now))
}

// spend pays for a packet and says how long the pacer waits after it.
func (s *Sender) spend(now time.Duration, size int) time.Duration {
	b := &s.budget
	b.earn(now, s.granted(now))
	b.credit -= float64(size)
	if b.credit < 0 {
		b.pace = b.rate
	} else {
		b.pace = s.pacing(now)
	}
	return b.pace.Time(size)
}

// pacing is the rate at which packets leave while the account is in credit.
func (s *Sender) pacing(now time.Duration) congestion.Bitrate {
	doubt := s.doubt(now)
	if s.policy.lossy(now) {
		doubt *= doubtPace
	}
	return max(s.cfg.Controller.PacingRate(), s.budget.rate, doubt)
}

// earn brings the account up to date.
func (b *budget) earn(now time.Duration, rate congestion.Bitrate) {
	if b.at == 0 {
		b.credit = float64(rate.Bytes(budgetBurst))
	}
	b.credit = min(b.credit+float64(b.rate.Bytes(max(0, now-b.at))), float64(rate.Bytes(budgetBurst)))
	b.at, b.rate = max(1, now), rate
}

// forecast is when bytes of pictures will have arrived, but for the way: no sooner than the budget lets them go, and no
// sooner than the link gets to them behind what stands in its queue. What the link was seen to carry counts where the budget is
// below it: no picture is given up for a rate that was cut for a moment.
type forecast struct {
	from, queue time.Duration
	leave, link congestion.Bitrate
	saved       int // bytes that leave at the pace first, for they have been earned
	pace        congestion.Bitrate
}

func (s *Sender) forecast(now time.Duration) forecast {
	f := forecast{from: max(now, s.pace), leave: s.granted(now)}
	first := s.budget.first.rate(now) // what goes before pictures
	f.link = f.leave
	if s.view != nil {
		f.queue = s.view.Queue()
		f.leave = max(f.leave, s.view.Capacity()) // what is held back now goes at the link's rate once its losses or its queue are understood
		if s.stretches() {                        // what is late may yet come: of what has fallen silent nobody knows that it stays so
			f.leave = max(f.leave, s.view.Lately())
		}
		f.link = f.leave
	} else {
		f.queue = s.late() - time.Millisecond
	}
	f.leave, f.link = max(f.leave/4, f.leave-first), max(f.link/4, f.link-first)
	if s.crowdedAt == 0 || now-s.crowdedAt >= doubtAgain { // no queue has shown at that pace
		s.budget.earn(now, s.granted(now))
		f.saved, f.pace = int(max(0, s.budget.credit)), max(f.leave, s.pacing(now)-first)
	}
	return f
}

// arrival of the last of n bytes.
func (f *forecast) arrival(n int) time.Duration {
	soon := time.Duration(0)
	if quick := min(n, f.saved); quick > 0 {
		soon = f.pace.Time(quick)
		n -= quick
	}
	return f.from + soon + max(f.leave.Time(n), f.queue+f.link.Time(n))
}

// Target is what the encoder may make, all tracks together: headers, repairs and what waits already taken off.
func (s *Sender) Target() congestion.Bitrate {
	total := s.cfg.Controller.Target()
	d := congestion.Demand{FEC: min(shareMost, s.policy.overhead()), Drain: drainIn}
	if s.stretches() {
		d.Most = drainLate
	}
	if waits := s.waits; s.view == nil || s.view.Reason() != congestion.Outage { // else it is stale before it can be sent
		d.Backlog = max(0, waits-total.Bytes(backlogFree))
	}
	media := congestion.Split(total, d, 0).Video
	return congestion.Bitrate(float64(media) * float64(s.cfg.dataBytes()) / float64(s.cfg.MTU+ipUDP))
}

// Advice is Target as an encoder can follow it: down at once, up at most every 500 ms, repeated every 200 ms. Ask after every
// input and when NextTimeout says; tell the encoder when told is true.
func (s *Sender) Advice(now time.Time) (rate congestion.Bitrate, why congestion.Reason, told bool) {
	s.advised = true
	rate, told = s.advice.Update(s.since(now), s.Target())
	if s.view != nil {
		why = s.view.Reason()
	}
	return rate, why, told
}

// pad makes a packet that only explores the path: a repair over what may still be in time, as it may be of use.
func (s *Sender) pad(dst []byte, now time.Duration) ([]byte, bool) {
	s.padding = false
	if s.view == nil || !s.view.Padding() || s.policy.off || s.nextMedia == 0 || s.granted(now) > padMost ||
		s.tracker.BytesInFlight() >= s.window(now) || s.breaker.silent(now, s.tracker.RTT().Smoothed()) {
		return dst, false
	}
	dst, s.padding = s.buildWindow(dst, now, item{kind: sendWindow, ref: s.sentUpTo(), deadline: now + s.cfg.Latency})
	return dst, s.padding
}

// classes that count as media for the pictures' dropping.
func refersOn(c fec.Class) bool { return c == fec.Reference || c == fec.Key }

// meter is bytes a second over the last half second, in slots of 100 ms.
type meter struct {
	slots [5]int
	slot  int64
}

const meterSlot = 100 * time.Millisecond

func (m *meter) add(now time.Duration, n int) {
	m.move(now)
	m.slots[m.slot%int64(len(m.slots))] += n
}

func (m *meter) move(now time.Duration) {
	for n := int64(now / meterSlot); m.slot < n; {
		m.slot = max(m.slot+1, n-int64(len(m.slots)))
		m.slots[m.slot%int64(len(m.slots))] = 0
	}
}

func (m *meter) rate(now time.Duration) congestion.Bitrate {
	m.move(now)
	sum := 0
	for _, n := range m.slots {
		sum += n
	}
	return congestion.Bitrate(float64(sum*8) / (time.Duration(len(m.slots)) * meterSlot).Seconds())
}
