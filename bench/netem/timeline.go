package netem

import "time"

// timeline walks the steps of some kinds in order of time, with their repetition.
type timeline struct {
	steps  []Step
	repeat time.Duration
	i      int
	base   time.Duration // start of this round
}

func newTimeline(c *Config, kinds ...StepKind) timeline {
	t := timeline{repeat: c.Repeat}
	for _, s := range c.Schedule {
		for _, k := range kinds {
			if s.Kind == k {
				t.steps = append(t.steps, s)
			}
		}
	}
	return t
}

const never = time.Duration(1<<63 - 1)

// at returns the time of the next step, or never.
func (t *timeline) at() time.Duration {
	if t.i == len(t.steps) {
		return never
	}
	return t.base + t.steps[t.i].At
}

// pop returns the next step with At in link time, if it is due.
func (t *timeline) pop(now time.Duration) (Step, bool) {
	at := t.at()
	if at == never || at > now {
		return Step{}, false
	}
	s := t.steps[t.i]
	s.At = at
	t.i++
	if t.i == len(t.steps) && t.repeat > 0 {
		t.i, t.base = 0, t.base+t.repeat
	}
	return s, true
}

// windows are the times at which a link is closed: by schedule, or by chance (drought).
type windows struct {
	line timeline

	drought Drought
	draw    stream
	n       uint64
	next    time.Duration // start of the next drought
	length  time.Duration

	until time.Duration // closed until then, as far as the walk has come
}

func newWindows(line timeline, d Drought, draw stream) windows {
	w := windows{line: line, drought: d, draw: draw, next: never}
	if d.Every > 0 && d.Max > 0 {
		w.roll(0)
	}
	return w
}

func (w *windows) roll(from time.Duration) {
	w.next = from + max(1, time.Duration(w.draw.exp(2*w.n)*float64(w.drought.Every)))
	w.length = w.drought.Min + time.Duration(w.draw.unit(2*w.n+1)*float64(w.drought.Max-w.drought.Min))
	w.n++
}

// closed returns until when the link is closed at time at, or 0 when it is open. Times do not go back.
func (w *windows) closed(at time.Duration) time.Duration {
	for {
		if s, ok := w.line.pop(at); ok {
			w.until = max(w.until, s.At+s.For)
			continue
		}
		if w.next <= at {
			end := w.next + w.length
			w.until = max(w.until, end)
			w.roll(end)
			continue
		}
		break
	}
	if at < w.until {
		return w.until
	}
	return 0
}

// change returns the start of the next window after the walk.
func (w *windows) change() time.Duration { return min(w.line.at(), w.next) }
