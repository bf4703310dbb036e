package congestion

import (
	"fmt"
	"time"
)

// Config of a Controller. The zero value of a field means its default.
type Config struct {
	Start Bitrate // 1 Mbit/s
	Min   Bitrate // 100 kbit/s: below it a path is of no use
	Max   Bitrate // 100 Mbit/s: of everything that is sent
	// Queue is the delay that may stand at the bottleneck on a steady link of 6 Mbit/s; 30 ms.
	Queue time.Duration
	// MaxQueue is the delay up to which the flow competes with flows that fill the queue; 700 ms. Above it, it yields.
	MaxQueue time.Duration
}

func (c Config) withDefaults() Config {
	if c.Start == 0 {
		c.Start = Mbps
	}
	if c.Min == 0 {
		c.Min = 100 * Kbps
	}
	if c.Max == 0 {
		c.Max = 100 * Mbps
	}
	if c.Queue == 0 {
		c.Queue = 30 * time.Millisecond // ours: docs/congestion.md, sweep of the target
	}
	if c.MaxQueue == 0 {
		c.MaxQueue = 700 * time.Millisecond
	}
	return c
}

// Validate says which field is out of range.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.Min < 10*Kbps || c.Min > c.Max:
		return fmt.Errorf("congestion: Min = %d: want 10 kbit/s to Max", c.Min)
	case c.Max > 10_000*Mbps:
		return fmt.Errorf("congestion: Max = %d: want at most 10 Gbit/s", c.Max)
	case c.Start < c.Min || c.Start > c.Max:
		return fmt.Errorf("congestion: Start = %d: want %d to %d", c.Start, c.Min, c.Max)
	case c.Queue < 5*time.Millisecond || c.Queue > time.Second:
		return fmt.Errorf("congestion: Queue = %v: want 5ms to 1s", c.Queue)
	case c.MaxQueue < 0 || c.MaxQueue > 10*time.Second:
		return fmt.Errorf("congestion: MaxQueue = %v: want 0 to 10s", c.MaxQueue)
	}
	return nil
}
