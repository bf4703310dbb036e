// Package seq handles serial numbers that wrap (RFC 1982): it compares them and
// unwraps them to int64, so that nothing above it ever thinks about wrapping.
//
// What it leaves to others: what the numbers mean.
package seq

// Distance16 is how far b lies ahead of a, in -32768..32767 (RFC 1982 §3.2 with SERIAL_BITS 16;
// the undefined case of exactly half the circle counts as behind).
func Distance16(a, b uint16) int { return int(int16(b - a)) }

// Distance32 is how far b lies ahead of a, in -2^31..2^31-1.
func Distance32(a, b uint32) int64 { return int64(int32(b - a)) }

// Less16 reports whether a comes before b.
func Less16(a, b uint16) bool { return int16(a-b) < 0 }

// Less32 reports whether a comes before b.
func Less32(a, b uint32) bool { return int32(a-b) < 0 }

// Unwrap16 returns the number nearest to near whose low 16 bits are s. It may be negative.
func Unwrap16(near int64, s uint16) int64 { return near + int64(int16(s-uint16(near))) }

// Unwrap32 returns the number nearest to near whose low 32 bits are s. It may be negative.
func Unwrap32(near int64, s uint32) int64 { return near + int64(int32(s-uint32(near))) }
