package stutter

import "time"

// slowFrame is one frame of the source as the slow player sees it: known beforehand, with what became of it.
type slowFrame struct {
	dts       int // ms
	key, drop bool
	held      bool
	arrives   int // ms; negative: never
}

type slowScore struct {
	started                         bool
	startUp, watched                int
	stalls, stallTime, longest      int
	arrived, undecodable, decodable int
}

// slowPlayer plays the stream one millisecond at a time: obvious, and too slow to use.
//
// Frames are in decoding order; those that arrive do so in that order. It looks at nothing that arrives after end.
// interval: ms behind the last frame of the list. tail: the player knows where the source ends.
func slowPlayer(frames []slowFrame, buffer, begin, end, interval int, tail bool) slowScore {
	var s slowScore
	here := func(i, t int) bool { return frames[i].arrives >= 0 && frames[i].arrives <= t }
	after := func(i int) int {
		if i+1 < len(frames) {
			return frames[i+1].dts
		}
		return frames[i].dts + interval
	}
	// Decodable when it arrived and the chain of references behind it is whole.
	decodable := make([]bool, len(frames))
	chain := false
	for i, f := range frames {
		arrived := here(i, end)
		if f.key {
			chain = arrived
		} else if !arrived && !f.drop {
			chain = false
		}
		decodable[i] = arrived && chain
		if arrived {
			s.arrived++
			if chain {
				s.decodable++
			} else {
				s.undecodable++
			}
		}
	}
	first := -1
	for i := range frames {
		if decodable[i] && !frames[i].held {
			first = i
			break
		}
	}
	base, head := 0, first // head: the first frame not shown yet
	startedAt := 0
	over := func(from, to int) {
		if n := to - from; n > 100 {
			s.stalls++
			s.stallTime += n
			s.longest = max(s.longest, n)
		}
	}
	stop := end
	for t := begin; t <= end && first >= 0; t++ {
		if !s.started {
			full := false
			for i := first; i < len(frames); i++ {
				if here(i, t) && (after(i)-frames[first].dts >= buffer || tail && i == len(frames)-1) {
					full = true
				}
			}
			if !full {
				continue
			}
			s.started, startedAt, base = true, t, t-frames[first].dts
		}
		for {
			shown := -1
			for k := head; k < len(frames); k++ {
				if decodable[k] && !frames[k].held && here(k, t) && base+frames[k].dts <= t {
					shown = k
					break
				}
			}
			if shown < 0 {
				break
			}
			due := base + frames[head].dts
			over(due, t)
			if t-due > 100 {
				base = t - frames[shown].dts
			}
			if head = shown + 1; head == len(frames) {
				break
			}
		}
		if head == len(frames) {
			break
		}
	}
	if !s.started {
		s.startUp, s.watched = end-begin, end-begin
		over(begin, end)
		return s
	}
	if tail {
		stop = min(end, base+frames[len(frames)-1].dts+interval)
	}
	next := frames[len(frames)-1].dts + interval
	if head < len(frames) {
		next = frames[head].dts
	}
	over(base+next, stop)
	s.startUp, s.watched = startedAt-begin, max(0, stop-startedAt)
	return s
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }
