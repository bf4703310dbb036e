package stutter

import "time"

// Limits of one player's memory.
const (
	maxFilling = 4096 // frames held while the buffer fills; behind that the player starts with what it has
	maxAhead   = 4096 // stalls that lie ahead of the newest arrival
	maxKept    = 256  // stalls kept for drawing
)

// Stall is a time in which the viewer saw nothing new.
type Stall struct {
	From   time.Duration // when the first frame not shown was due
	Length time.Duration
}

func (s Stall) to() time.Duration { return s.From + s.Length }

// trimmed is the part of s before end.
func (s Stall) trimmed(end time.Duration) Stall {
	s.Length = min(s.Length, end-s.From)
	return s
}

// span is a decodable frame: it is due at begin, the next one at end.
type span struct{ begin, end time.Duration }

// player is the reference player of one buffer size. Because frames come in decoding order, the next frame it
// shows is always the next decodable one, so its future is known up to the newest arrival.
type player struct {
	buffer  time.Duration
	last    time.Duration // decoding time behind the source's last frame; negative: not known
	keyed   bool          // the first key frame has come
	first   time.Duration // its decoding time
	filling []span        // decodable frames before the start

	started bool
	startAt time.Duration
	base    time.Duration // due time = base + decoding time
	next    time.Duration // decoding time of the first frame not shown

	done  tally   // stalls that had ended at the newest arrival
	ahead []Stall // stalls that end later than that
	kept  []Stall

	live   bool          // gaps are wanted
	gaps   []gap         // since they were taken; at most maxGaps, the rest are joined to the last
	before time.Duration // arrival of the last frame that was shown
}

// maxGaps bounds what one arrival can bring: the frames that filled the buffer.
const maxGaps = 16

// gap is a stall, and when the frames around it arrived.
type gap struct {
	Stall
	since, until time.Duration // arrival of the frame before it, and of the one that ends it
	skipped      time.Duration // decoding time between the two that nothing was shown for
	open         bool          // it has not ended
	part         bool          // of one whose beginning is settled
}

// tally sums stalls up.
type tally struct {
	n       int
	total   time.Duration
	longest time.Duration
}

func (t *tally) add(s Stall) {
	t.n++
	t.total += s.Length
	t.longest = max(t.longest, s.Length)
}

// observe takes a frame of the running timeline.
func (p *player) observe(dts, end time.Duration, decodable, held bool, at time.Duration) {
	p.settle(at)
	if !p.keyed {
		if !decodable || held {
			return
		}
		p.keyed, p.first = true, dts
	}
	if p.started {
		if decodable && !held {
			p.show(span{dts, end}, at)
		}
		return
	}
	if decodable && !held {
		p.filling = append(p.filling, span{dts, end})
	}
	ended := p.last >= 0 && end >= p.last // nothing more will come
	if end-p.first < p.buffer && !ended && len(p.filling) < maxFilling {
		return
	}
	p.started, p.startAt = true, at
	p.base, p.next = at-p.first, p.first
	for _, s := range p.filling {
		p.show(s, at)
	}
	p.filling = nil
}

func (p *player) show(f span, at time.Duration) {
	due := p.base + f.begin
	shown := max(due, at)
	if s := (Stall{p.base + p.next, shown - p.base - p.next}); s.Length > Threshold {
		if p.live {
			p.note(gap{Stall: s, since: p.before, until: at, skipped: f.begin - p.next})
		}
		p.base += shown - due
		if len(p.ahead) == maxAhead {
			p.finish(p.ahead[0])
			p.ahead = p.ahead[1:]
		}
		p.ahead = append(p.ahead, s)
	}
	p.next, p.before = f.end, at
}

func (p *player) note(g gap) {
	if n := len(p.gaps); n == maxGaps {
		p.gaps[n-1].Length = max(p.gaps[n-1].Length, g.to()-p.gaps[n-1].From)
		return
	}
	p.gaps = append(p.gaps, g)
}

// open is the stall that has begun and not ended at now; false: none.
func (p *player) open(now time.Duration) (gap, bool) {
	from := p.base + p.next
	if !p.started || now-from <= Threshold {
		return gap{}, false
	}
	return gap{Stall: Stall{from, now - from}, since: p.before, until: now, open: true}, true
}

// settle books the stalls that are over.
func (p *player) settle(now time.Duration) {
	for len(p.ahead) > 0 && p.ahead[0].to() <= now {
		p.finish(p.ahead[0])
		p.ahead = p.ahead[1:]
	}
}

func (p *player) finish(s Stall) {
	p.done.add(s)
	if len(p.kept) < maxKept {
		p.kept = append(p.kept, s)
	}
}

// score closes the books at end, without changing the player. begin: when the first frame could have been seen.
func (p *player) score(begin, end time.Duration) Player {
	s := Player{Buffer: p.buffer, Started: p.started}
	if !p.started {
		s.StartUp = max(0, end-begin)
		s.Watched = s.StartUp
		if s.Watched > 0 {
			s.book([]Stall{{begin, s.Watched}})
		}
		return s
	}
	if p.last >= 0 {
		end = min(end, p.base+p.last)
	}
	s.StartUp = p.startAt - begin
	s.Watched = max(0, end-p.startAt)
	s.Behind = p.base + p.first - p.startAt
	s.Stalls, s.StallTime, s.Longest = p.done.n, p.done.total, p.done.longest
	s.Kept = append(s.Kept, p.kept...)
	var open []Stall
	for _, a := range p.ahead {
		open = append(open, a.trimmed(end))
	}
	if from := p.base + p.next; from < end {
		open = append(open, Stall{from, end - from})
	}
	s.book(open)
	return s
}
