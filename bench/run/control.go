package run

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bench/emu"
	"github.com/fairlead-live/fairlead/bench/report"
)

// The control stream: 100 packets a second of 200 bytes, over a clean link.
const (
	controlEvery = 10 * time.Millisecond
	controlSize  = 200
	controlPort  = "9000"
)

// control measures what the host itself does to packets. A nil control measured nothing.
//
// Goroutines: newControl begins a sender and a receiver; close ends both and waits.
type control struct {
	pair *emu.Pair
	near net.Conn
	far  net.PacketConn
	stop context.CancelFunc
	wg   sync.WaitGroup
	zero time.Time

	mu      sync.Mutex // guards what follows
	sentAt  []time.Duration
	delayed []time.Duration // −1: not here yet
}

func newControl(ctx context.Context) (*control, error) {
	pair, err := emu.NewPair(emu.Config{})
	if err != nil {
		return nil, fmt.Errorf("run: control stream: %w", err)
	}
	c := &control{pair: pair, zero: time.Now()}
	fail := func(err error) (*control, error) {
		_ = pair.Close()
		return nil, fmt.Errorf("run: control stream: %w", err)
	}
	if c.far, err = networkOf(pair, emu.Far).ListenPacket(ctx, "udp", net.JoinHostPort(pair.Addr(emu.Far).String(), controlPort)); err != nil {
		return fail(err)
	}
	if c.near, err = networkOf(pair, emu.Near).Dial(ctx, "udp", c.far.LocalAddr().String()); err != nil {
		c.far.Close()
		return fail(err)
	}
	ctx, c.stop = context.WithCancel(ctx)
	c.wg.Go(func() { c.send(ctx) })
	c.wg.Go(c.receive)
	return c, nil
}

func (c *control) send(ctx context.Context) {
	defer c.near.Close()
	tick := time.NewTicker(controlEvery)
	defer tick.Stop()
	b := make([]byte, controlSize)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		binary.BigEndian.PutUint64(b, uint64(len(c.sentAt)))
		c.sentAt = append(c.sentAt, time.Since(c.zero)) // 16 bytes a packet: 6 MB an hour
		c.delayed = append(c.delayed, -1)
		c.mu.Unlock()
		_, _ = c.near.Write(b)
	}
}

func (c *control) receive() {
	b := make([]byte, 2*controlSize)
	for {
		n, _, err := c.far.ReadFrom(b)
		if err != nil {
			return
		}
		if n < 8 {
			continue
		}
		now := time.Since(c.zero)
		c.mu.Lock()
		if i := binary.BigEndian.Uint64(b); i < uint64(len(c.sentAt)) && c.delayed[i] < 0 {
			c.delayed[i] = now - c.sentAt[i]
		}
		c.mu.Unlock()
	}
}

// between sums up the packets sent from one time to another, less those of the last 100 ms, which may be on their way.
func (c *control) between(from, to time.Time) report.Control {
	var r report.Control
	if c == nil {
		return r
	}
	a, b := from.Sub(c.zero), to.Sub(c.zero)-100*time.Millisecond
	c.mu.Lock()
	lo, _ := slices.BinarySearch(c.sentAt, a)
	hi, _ := slices.BinarySearch(c.sentAt, b)
	all := slices.Clone(c.delayed[lo:max(lo, hi)])
	c.mu.Unlock()
	slices.Sort(all)
	r.Packets = len(all)
	for len(all) > 0 && all[0] < 0 {
		all = all[1:]
		r.Lost++
	}
	if n := len(all); n > 0 {
		r.P50Ms, r.P99Ms, r.MaxMs = millis(all[n/2]), millis(all[n*99/100]), millis(all[n-1])
	}
	return r
}

func (c *control) close() {
	if c == nil {
		return
	}
	c.stop()
	c.far.Close()
	c.wg.Wait()
	_ = c.pair.Close()
}

// Bounds beyond which the host disturbed a cell, in milliseconds.
const (
	noisyLate    = 2   // emulator, p99: bench/emu's own bound
	noisyControl = 2   // control stream's jitter, p99
	noisySend    = 10  // clip, p99: a third of a frame interval
	noisyMost    = 100 // clip or control stream, largest: a stall by itself
)

// noise says how the host disturbed a cell; nil: not at all.
func noise(c *report.Cell, late lateness) []string {
	var out []string
	if c.Up.LateP99Ms > noisyLate || c.Down.LateP99Ms > noisyLate {
		out = append(out, fmt.Sprintf("the emulator was late: p99 %.1f ms up, %.1f ms down", c.Up.LateP99Ms, c.Down.LateP99Ms))
	}
	k := c.Control
	if k.P99Ms-k.P50Ms > noisyControl || k.MaxMs > noisyMost || k.Lost > 0 {
		out = append(out, fmt.Sprintf("the control stream was disturbed: p99 %.1f ms, max %.1f ms, %d lost", k.P99Ms, k.MaxMs, k.Lost))
	}
	if p99, most := late.worst(); millis(p99) > noisySend || millis(most) > noisyMost {
		out = append(out, fmt.Sprintf("the clip was sent late: p99 %.1f ms, max %.1f ms", millis(p99), millis(most)))
	}
	return out
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
