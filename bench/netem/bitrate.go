package netem

import (
	"fmt"
	"time"
)

// Bitrate is in bits per second; a megabit is 1,000,000 bits.
type Bitrate int64

// Units of Bitrate.
const (
	BitPerSecond Bitrate = 1
	Kbit                 = 1000 * BitPerSecond
	Mbit                 = 1000 * Kbit
	Gbit                 = 1000 * Mbit
)

// String is in tc's words: 4mbit, 3040kbit.
func (r Bitrate) String() string {
	switch {
	case r != 0 && r%Gbit == 0:
		return fmt.Sprintf("%dgbit", r/Gbit)
	case r != 0 && r%Mbit == 0:
		return fmt.Sprintf("%dmbit", r/Mbit)
	case r != 0 && r%Kbit == 0:
		return fmt.Sprintf("%dkbit", r/Kbit)
	}
	return fmt.Sprintf("%dbit", int64(r))
}

// bytesIn returns how many bytes pass in d.
func (r Bitrate) bytesIn(d time.Duration) int {
	return int(float64(r) / 8 * d.Seconds())
}
