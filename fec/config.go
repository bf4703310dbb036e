package fec

import "fmt"

// Config sizes an Encoder or a Decoder. The zero value is a stream up to about 6 Mbit/s with 300 ms of latency.
// Both ends should use the same Symbols: a repair over symbols that left the decoder's window is of no use.
type Config struct {
	// Symbols is how many of the newest media packets are kept: a power of two, 128..4096. Zero: 256.
	// It should cover packets per second × latency, or late rounds can only resend what is still in the ring.
	Symbols int
	// SymbolBytes is the longest source symbol, payload + LengthBytes: 64..65535. Zero: 1472, which is any
	// payload of an Ethernet datagram.
	SymbolBytes int
	// Stored is how many of the Symbols a Decoder keeps the bytes of, 128..Symbols. Zero: all. When there are more, those
	// that have expired (Decoder.Expire) give way, then those settled first (Decoder.Settle), then the oldest: so a window of a
	// second fits into the memory of half a one.
	Stored int
	// Equations is how many unsolved equations a Decoder keeps, 1..Symbols. Zero: 128. When full, the equation of the
	// oldest missing symbol gives way.
	Equations int
}

func (c Config) withDefaults() Config {
	if c.Symbols == 0 {
		c.Symbols = 256
	}
	if c.SymbolBytes == 0 {
		c.SymbolBytes = 1472
	}
	if c.Stored == 0 {
		c.Stored = c.Symbols
	}
	if c.Equations == 0 {
		c.Equations = 128
	}
	return c
}

// Validate says which field is out of range.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.Symbols < MaxCount || c.Symbols > 4096 || c.Symbols&(c.Symbols-1) != 0:
		return fmt.Errorf("fec: Symbols = %d: want a power of two from %d to 4096", c.Symbols, MaxCount)
	case c.SymbolBytes < 64 || c.SymbolBytes > 65535:
		return fmt.Errorf("fec: SymbolBytes = %d: want 64 to 65535", c.SymbolBytes)
	case c.Stored < MaxCount || c.Stored > c.Symbols:
		return fmt.Errorf("fec: Stored = %d: want %d to Symbols = %d", c.Stored, MaxCount, c.Symbols)
	case c.Equations < 1 || c.Equations > c.Stored:
		return fmt.Errorf("fec: Equations = %d: want 1 to Stored = %d", c.Equations, c.Stored)
	}
	return nil
}

// slotBytes is above the bookkeeping of one place in a ring.
const slotBytes = 96

// EncoderBytes bounds the memory of an Encoder.
func (c Config) EncoderBytes() int {
	c = c.withDefaults()
	return (c.Symbols+1)*pad(c.SymbolBytes) + c.Symbols*slotBytes
}

// DecoderBytes bounds the memory of a Decoder, whatever it is fed.
func (c Config) DecoderBytes() int {
	c = c.withDefaults()
	return (c.Stored+1)*pad(c.SymbolBytes) + (c.Equations+1)*c.Symbols + c.Symbols*slotBytes
}
