package srt

import "time"

// Constants of the reorder hold; ours.
const (
	holdStep    = 2 * time.Millisecond
	holdBuckets = 128
	// holdSpared is the share of packets that may be asked for though they are only late.
	holdSpared = 0.01
	// holdMemory is after how many packets what was seen counts half.
	holdMemory = 4096
	holdLeast  = 16 // packets before anything is concluded
)

// hold is how long to wait before a missing packet counts as lost, from how late packets that were not resent have come.
// It is the least time for which no more than holdSpared of all packets come later than that: where there is no
// reordering, or hardly any, it is zero and a loss is asked for at once.
type hold struct {
	late    [holdBuckets]float64 // by lateness, in steps
	packets float64
	now     time.Duration
}

// packet counts an original packet.
func (h *hold) packet() {
	if h.packets++; h.packets >= holdMemory {
		h.packets /= 2
		for i := range h.late {
			h.late[i] /= 2
		}
		h.update()
	}
}

// overtaken counts an original packet that came d after a later one.
func (h *hold) overtaken(d time.Duration) {
	h.late[min(max(int(d/holdStep), 0), holdBuckets-1)]++
	h.update()
}

func (h *hold) update() {
	h.now = 0
	if h.packets < holdLeast {
		return
	}
	spare := h.packets * holdSpared
	for i := holdBuckets - 1; i >= 0; i-- {
		if spare -= h.late[i]; spare < 0 {
			h.now = time.Duration(i+1) * holdStep
			return
		}
	}
}
