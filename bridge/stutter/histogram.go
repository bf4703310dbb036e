package stutter

import (
	"math"
	"slices"
	"time"
)

const (
	maxBins    = 8192
	firstWidth = 100 * time.Microsecond
)

// histogram counts durations, also negative ones, in bins of one width. It starts at 100 µs and doubles the width
// whenever more than maxBins bins are in use, so that its size is bounded and a minute's stream is exact to 0.1 ms.
type histogram struct {
	width time.Duration
	bins  map[int64]int64 // floor(value ÷ width) → count
	least time.Duration
	n     int64
}

func (h *histogram) add(d time.Duration) {
	if h.bins == nil {
		h.bins, h.width, h.least = map[int64]int64{}, firstWidth, d
	}
	h.least = min(h.least, d)
	h.n++
	h.bins[floorDiv(d, h.width)]++
	for len(h.bins) > maxBins {
		h.width *= 2
		wider := make(map[int64]int64, maxBins)
		for k, v := range h.bins {
			wider[k>>1] += v // an arithmetic shift rounds down, also below zero
		}
		h.bins = wider
	}
}

func (h *histogram) min() time.Duration { return h.least }

// quantile returns the value, above origin, that a share q of total values does not exceed, to half a bin;
// Never when fewer values than that are here.
func (h *histogram) quantile(q float64, total int64, origin time.Duration) time.Duration {
	rank := int64(math.Ceil(q*float64(total) - 1e-9))
	if total == 0 || rank > h.n {
		return Never
	}
	keys := make([]int64, 0, len(h.bins))
	for k := range h.bins {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if rank -= h.bins[k]; rank <= 0 {
			return max(0, time.Duration(k)*h.width+h.width/2-origin)
		}
	}
	return Never
}

func floorDiv(d, w time.Duration) int64 {
	q := int64(d / w)
	if d%w < 0 {
		q--
	}
	return q
}
