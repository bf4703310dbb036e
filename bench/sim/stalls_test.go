package sim

import (
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// lateNode notes how late it is given packets, and sends one when it is told to.
type lateNode struct {
	send  int
	late  []time.Duration
	calls []time.Time
}

func (n *lateNode) HandleDatagram(time.Time, []byte) {}
func (n *lateNode) HandleArrival(now time.Time, _ []byte, a Arrival) {
	n.late = append(n.late, now.Sub(a.Time(now)))
}

func (n *lateNode) AppendDatagram(dst []byte, _ time.Time) ([]byte, bool) {
	if n.send == 0 {
		return dst, false
	}
	n.send--
	return append(dst, 1), true
}
func (n *lateNode) NextTimeout() time.Time { return time.Time{} }

// An end that stands still is given everything, in order and late, with the time at which it came; the same seed does the same.
func TestStalls(t *testing.T) {
	run := func(every time.Duration) (a, b *lateNode, sum uint64) {
		w := New(7)
		a, b = &lateNode{}, &lateNode{}
		l := w.Connect(Path{Up: netem.Config{Delay: netem.Delay{Base: 10 * time.Millisecond}}}, a, b)
		l.Stall(BusyHost(every))
		w.Every(2*time.Millisecond, func() {
			l.A.Do(func() {
				a.calls = append(a.calls, w.Now())
				a.send++
			})
		})
		w.Run(20 * time.Second)
		return a, b, w.Sum()
	}
	a, b, sum := run(200 * time.Millisecond)
	if len(a.calls) < 9900 || len(b.late) < 9900 {
		t.Errorf("%d calls and %d packets, want nearly 10000", len(a.calls), len(b.late))
	}
	late, longest := 0, time.Duration(0)
	for _, d := range b.late {
		if d > 0 {
			late++
		}
		longest = max(longest, d)
	}
	if late < 500 || late > 4000 || longest > 80*time.Millisecond || longest < 40*time.Millisecond {
		t.Errorf("%d of %d packets were taken late, the latest %v: want about a sixth, and up to 80 ms", late, len(b.late), longest)
	}
	for i := 1; i < len(a.calls); i++ {
		if a.calls[i].Before(a.calls[i-1]) {
			t.Fatal("calls out of order")
		}
	}
	if _, _, again := run(200 * time.Millisecond); again != sum {
		t.Error("the same seed did something else")
	}
	if _, b, _ := run(0); len(b.late) != 9995 || b.late[0] != 0 {
		t.Errorf("without stalls %d packets", len(b.late))
	}
}
