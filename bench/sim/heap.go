package sim

import "time"

// event is one of: a call of f, a packet for end, a timer of end.
type event struct {
	at    time.Duration
	order uint64 // among events of one time: first scheduled, first served
	f     func()
	end   *End
	data  []byte
	path  uint32 // of the sender, at the time of sending
	ce    bool
	timer uint64 // generation

	came   time.Duration // of a packet that waited for an end that stood still
	waited bool
}

// heap is a binary heap of events.
type heap []event

func (h heap) less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}

func (w *World) push(e event) {
	w.order++
	e.order = w.order
	h := append(w.events, e)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !h.less(i, up) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	w.events = h
}

func (h *heap) pop() event {
	s := *h
	top := s[0]
	last := len(s) - 1
	s[0] = s[last]
	s[last] = event{}
	s = s[:last]
	for i := 0; ; {
		down := 2*i + 1
		if down >= last {
			break
		}
		if down+1 < last && s.less(down+1, down) {
			down++
		}
		if !s.less(down, i) {
			break
		}
		s[i], s[down] = s[down], s[i]
		i = down
	}
	*h = s
	return top
}
