package api

import (
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/hub"
)

// rates are media bit and frame rates over the last seconds: the same number whoever asks, and however often.
type rates struct {
	mu sync.Mutex
	by map[string]*history
}

// ringSize samples, one a second, make the window of a rate.
const ringSize = 3

type history struct {
	at            [ringSize]time.Time
	bytes, frames [ringSize]uint64
	n             int // samples so far
}

func (r *rates) sample(now time.Time, streams []hub.StreamStats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := make(map[string]*history, len(streams))
	for i := range streams {
		st := &streams[i]
		h := r.by[st.Name]
		if h == nil {
			h = &history{}
		}
		k := h.n % ringSize
		h.at[k], h.bytes[k], h.frames[k] = now, st.Counts.Bytes, st.Counts.Frames
		if st.TS != nil { // its packets count, with what is in them
			h.bytes[k] = st.TS.Bytes
		}
		h.n++
		next[st.Name] = h
	}
	r.by = next
}

// of returns bits and frames a second; 0 until there are two samples.
func (r *rates) of(name string) (bps, fps float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.by[name]
	if h == nil || h.n < 2 {
		return 0, 0
	}
	newest := (h.n - 1) % ringSize
	oldest := 0
	if h.n >= ringSize {
		oldest = h.n % ringSize
	}
	s := h.at[newest].Sub(h.at[oldest]).Seconds()
	if s <= 0 || h.bytes[newest] < h.bytes[oldest] {
		return 0, 0
	}
	return float64(h.bytes[newest]-h.bytes[oldest]) * 8 / s, float64(h.frames[newest]-h.frames[oldest]) / s
}
