package emu

import (
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// datagram counts like a proxy's, without a system.
type datagram struct{}

func (datagram) ect(*packet) bool          { return false }
func (datagram) mark(*packet)              {}
func (datagram) corrupt(*packet, int) bool { return false }

func TestLaneReleasesInOrderOfTimeAndAccountsForAll(t *testing.T) {
	config := &Config{Seed: 5, Up: netem.Config{
		Delay: netem.Delay{Base: 10 * time.Millisecond, Jitter: 5 * time.Millisecond}, Reorder: netem.Reorder{P: 0.1},
		Loss: netem.Loss{Model: netem.LossRandom, P: 0.1}, Duplicate: netem.Chance{P: 0.1}, Corrupt: netem.Chance{P: 0.1},
		Rate: 10 * netem.Mbit, Limit: netem.Limit{Packets: 30},
	}}
	var pool pool
	l := newLanes(config, config.Seed, &pool, nil, datagram{}, 28)[netem.Up]
	var now, last time.Duration
	account := func() {
		c := l.snapshot()
		if c.Delivered != c.Sent+c.CorruptDropped+c.OldAddress+c.Overflow+c.InFlight || c.Admitted+c.Duplicated != c.Delivered+c.Drops() {
			t.Fatalf("something vanished: %v", c)
		}
	}
	for range 20_000 {
		now += 900 * time.Microsecond
		k := pool.get()
		k.data = k.data[:1000]
		l.admit(now, k)
		for {
			k := l.pop(now)
			if k == nil {
				break
			}
			if k.at < last || k.at > now {
				t.Fatalf("released at %v what was due at %v, after %v", now, k.at, last)
			}
			last = k.at
			pool.put(k)
		}
		account()
	}
	c := l.snapshot()
	if c.Duplicated == 0 || c.CorruptDropped == 0 || c.Dropped[netem.Lost] == 0 || c.Early == 0 {
		t.Errorf("the test proves nothing: %v", c)
	}
	if c.LateMax > 900*time.Microsecond {
		t.Errorf("late by %v, want at most the step of 0.9 ms", c.LateMax)
	}
}

func TestEqualTimesLeaveInOrder(t *testing.T) {
	var pool pool
	l := newLanes(&Config{Up: netem.Config{Delay: netem.Delay{Base: time.Millisecond}}}, 0, &pool, nil, datagram{}, 0)[netem.Up]
	for i := range 100 {
		k := pool.get()
		k.data = append(k.data, byte(i))
		l.admit(0, k)
	}
	for i := range 100 {
		if k := l.pop(time.Millisecond); k == nil || k.data[0] != byte(i) {
			t.Fatalf("packet %d came out of turn", i)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var pool pool
	l := newLanes(&Config{Up: netem.Config{Delay: netem.Delay{Base: time.Hour}}}, 0, &pool, nil, datagram{}, 0)[netem.Up]
	n := maxPending/smallPacket + 10
	for range n {
		k := pool.get()
		k.data = k.data[:100]
		l.admit(0, k)
	}
	if c := l.snapshot(); c.Overflow != 10 || l.pending > maxPending {
		t.Errorf("overflow %d of %d bytes pending, want 10", c.Overflow, l.pending)
	}
}

func TestAPacketCostsNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Log("not counted under the race detector")
		return
	}
	config := &Config{Up: netem.Config{Delay: netem.Delay{Base: time.Millisecond}, Loss: netem.Loss{Model: netem.LossRandom, P: 0.1}}}
	var pool pool
	l := newLanes(config, 1, &pool, nil, datagram{}, 28)[netem.Up]
	var now time.Duration
	one := func() {
		now += 100 * time.Microsecond
		k := pool.get()
		k.data = k.data[:1200]
		l.admit(now, k)
		for k := l.pop(now); k != nil; k = l.pop(now) {
			pool.put(k)
		}
	}
	for range 1000 {
		one()
	}
	if n := testing.AllocsPerRun(1000, one); n != 0 {
		t.Errorf("%v allocations for a packet, want 0", n)
	}
}

func BenchmarkPacket(b *testing.B) {
	config := &Config{Up: netem.Config{Delay: netem.Delay{Base: 30 * time.Millisecond, Jitter: 5 * time.Millisecond}}}
	var pool pool
	l := newLanes(config, 1, &pool, nil, datagram{}, 28)[netem.Up]
	var now time.Duration
	for b.Loop() {
		now += 25 * time.Microsecond
		k := pool.get()
		k.data = k.data[:1200]
		l.admit(now, k)
		for k := l.pop(now); k != nil; k = l.pop(now) {
			pool.put(k)
		}
	}
}

func TestHistogramIsWithinSixPerCent(t *testing.T) {
	for _, d := range []time.Duration{0, time.Microsecond, 17 * time.Microsecond, 300 * time.Microsecond, 2 * time.Millisecond, time.Minute} {
		var h histogram
		h.add(d)
		h.add(time.Hour) // so that the maximum does not cap it
		got := h.quantile(0)
		if got < d || float64(got) > float64(d)*17/16+float64(2*time.Microsecond) {
			t.Errorf("%v became %v", d, got)
		}
	}
}
