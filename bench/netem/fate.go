package netem

import (
	"fmt"
	"time"
)

// Drop says why a packet is not delivered. The zero value says that it is.
type Drop uint8

const (
	Delivered Drop = iota
	Lost           // loss
	QueueFull      // the bottleneck's queue is full
	CoDelDrop      // CoDel
	Policed        // the policer's bucket is empty
	Outage         // scheduled
	reasons        // how many there are
)

var dropNames = [reasons]string{"delivered", "loss", "queue", "codel", "policer", "outage"}

func (d Drop) String() string { return dropNames[d] }

// Fate is what became of one packet. It is comparable.
type Fate struct {
	Drop       Drop
	Marked     bool // CE: congestion experienced
	Corrupted  bool
	CorruptBit int // the wrong bit, counted from the first byte's highest, when Corrupted
	Duplicated bool
	CopyAt     time.Duration // when the copy is delivered, when Duplicated
	Early      bool          // reorder let it skip the delay
	Wait       time.Duration // time at the bottleneck: queue and serialisation
	Path       uint32        // handovers so far: the sender's address changes with it
}

// Counters of one direction. Admitted + Duplicated = Delivered + the sum of Dropped.
type Counters struct {
	Admitted, AdmittedBytes   uint64
	Delivered, DeliveredBytes uint64 // copies counted; includes those still in queue and propagation
	Dropped                   [reasons]uint64
	Duplicated                uint64
	Corrupted, Marked, Early  uint64 // of the delivered ones, copies not counted
}

// Drops returns the sum of Dropped.
func (c *Counters) Drops() uint64 {
	var n uint64
	for _, d := range c.Dropped {
		n += d
	}
	return n
}

// Counters returns the sums so far.
func (l *Link) Counters() Counters { return l.count }

// Queued returns how many packets and bytes wait at the bottleneck at now, the one that is being sent included.
func (l *Link) Queued(now time.Duration) (packets, bytes int) {
	l.queue.leave(max(now, l.last))
	return l.queue.packets, l.queue.bytes
}

// String describes a fate in one word or a few.
func (f Fate) String() string {
	if f.Drop != Delivered {
		return f.Drop.String()
	}
	s := "delivered"
	if f.Marked {
		s += " ce"
	}
	if f.Corrupted {
		s += fmt.Sprintf(" corrupt@%d", f.CorruptBit)
	}
	if f.Duplicated {
		s += " dup"
	}
	if f.Early {
		s += " early"
	}
	return s
}
