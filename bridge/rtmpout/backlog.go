package rtmpout

import (
	"net"
	"time"

	"github.com/fairlead-live/fairlead/bridge/tcp"
)

const (
	// markEvery and marks bound what a backlog remembers: 6.4 s, more than any backlog is let become.
	markEvery = 100 * time.Millisecond
	marks     = 64
	// unsent is how much media the kernel may hold that it has not sent, within the bounds below. Ours.
	unsent        = 250 * time.Millisecond
	lowWaterLeast = 16 << 10
)

// backlog knows when the bytes were written that the kernel still holds. The zero value is ready.
type backlog struct {
	written uint64
	ring    [marks]mark
	n       int // marks so far
	low     int // low water in force; 0: the default
}

// mark says that before at, so many bytes had been written.
type mark struct {
	written uint64
	at      time.Time
}

// wrote counts n bytes and reports whether a mark was made, which is when looking at the kernel is worth a system call.
func (b *backlog) wrote(now time.Time, n int) bool {
	due := b.n == 0 || now.Sub(b.ring[(b.n-1)%marks].at) >= markEvery
	if due {
		b.ring[b.n%marks] = mark{b.written, now}
		b.n++
	}
	b.written += uint64(n)
	return due
}

// age returns how old the oldest of the last held bytes is, to markEvery; too young rather than too old.
func (b *backlog) age(now time.Time, held int) time.Duration {
	if held <= 0 {
		return 0
	}
	acked := b.written - min(b.written, uint64(held))
	var age time.Duration
	for i := b.n - 1; i >= max(0, b.n-marks); i-- {
		m := b.ring[i%marks]
		if m.written < acked {
			break
		}
		age = now.Sub(m.at)
	}
	return age
}

// lowWater returns a new low water for the stream's rate, or 0 when the one in force will do.
func (b *backlog) lowWater() int {
	if b.n < 10 {
		return 0
	}
	oldest, newest := b.ring[max(0, b.n-marks)%marks], b.ring[(b.n-1)%marks]
	span := newest.at.Sub(oldest.at)
	if span <= 0 {
		return 0
	}
	want := int(float64(newest.written-oldest.written) / span.Seconds() * unsent.Seconds())
	want = min(max(want, lowWaterLeast), tcp.NotSentLowWater)
	now := b.low
	if now == 0 {
		now = tcp.NotSentLowWater
	}
	if d := want - now; d < now/4 && -d < now/4 {
		return 0
	}
	b.low = want
	return want
}

// ackMark is when the peer last acknowledged something new.
type ackMark struct {
	acked uint64
	at    time.Time
}

// stalled returns for how long the peer of c has acknowledged nothing although there is something to.
func (m *ackMark) stalled(c net.Conn, now time.Time) time.Duration {
	n, ok := tcp.Acked(c)
	if !ok || m.at.IsZero() || n != m.acked || tcp.Backlog(c) == 0 {
		*m = ackMark{n, now}
	}
	return now.Sub(m.at)
}
