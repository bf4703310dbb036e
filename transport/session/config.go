package session

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/transport/srtp"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// Controller decides how fast a Sender sends. Times are since the session's zero; sizes are bytes on
// the wire, IP and UDP headers included.
type Controller interface {
	Sent(now time.Duration, size int)
	Feedback(now, minRTT time.Duration, packets []congestion.Packet) // borrows packets
	PacingRate() congestion.Bitrate
	Window() int                // bytes that may be in flight
	Target() congestion.Bitrate // for media, repairs and resends together
	Budget() congestion.Bitrate // all that may leave, on the mean
}

// Config is common to both ends. The zero value of a field means its default.
type Config struct {
	Latency    time.Duration      // playout latency on top of the one-way delay; 300 ms
	MaxLatency time.Duration      // up to which it may grow where the path carries less than the stream: frames are late then, not lost (stretch.go); 0: not
	MTU        int                // bytes of UDP payload, 1200
	MaxBitrate congestion.Bitrate // of media; sizes the buffers; 20 Mbit/s
	InOrder    bool               // receiver: release frames as soon as they are in order, not at constant latency; sender: the receiver does
	Tag        uint32             // of the path, from the welcome
	Epoch      uint32             // of the first keys

	// Seal and Open protect what this end sends and receives. Both nil: the packets travel inside QUIC.
	Seal *srtp.Sealer
	Open *srtp.Opener

	Controller Controller // sender; nil: fixed, MaxBitrate × 1.5
	NoFEC      bool       // sender: resends only
}

// Overheads of a media datagram. IP (20) and UDP (8) are not in the MTU but count on the wire.
const (
	ipUDP       = 28
	minMTU      = 400
	maxMTU      = 1452 // QUIC's, over Ethernet with IPv6
	packetExtra = wire.RTPHeaderSize + srtp.TagSize
	repairExtra = wire.RepairHeaderSize + fec.LengthBytes - 1 // more than a source of the same symbol: its type byte is in the source
)

func (c Config) withDefaults() Config {
	if c.Latency == 0 {
		c.Latency = 300 * time.Millisecond
	}
	if c.MTU == 0 {
		c.MTU = 1200
	}
	if c.MaxBitrate == 0 {
		c.MaxBitrate = 20 * congestion.Mbps
	}
	if c.Controller == nil {
		c.Controller = &congestion.Fixed{Rate: c.MaxBitrate * 3 / 2}
	}
	return c
}

// Validate says which field is out of range.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.Latency < 10*time.Millisecond || c.Latency > 30*time.Second:
		return fmt.Errorf("session: Latency = %v: want 10ms to 30s", c.Latency)
	case c.MaxLatency != 0 && (c.MaxLatency < c.Latency || c.MaxLatency > 30*time.Second):
		return fmt.Errorf("session: MaxLatency = %v: want 0, or %v to 30s", c.MaxLatency, c.Latency)
	case c.MTU < minMTU || c.MTU > maxMTU:
		return fmt.Errorf("session: MTU = %d: want %d to %d", c.MTU, minMTU, maxMTU)
	case c.MaxBitrate < 50*congestion.Kbps || c.MaxBitrate > 200*congestion.Mbps:
		return fmt.Errorf("session: MaxBitrate = %d: want 50 kbit/s to 200 Mbit/s", c.MaxBitrate)
	case c.Tag > wire.MaxTag:
		return fmt.Errorf("session: Tag = %#x: want 28 bits", c.Tag)
	}
	return nil
}

// symbolBytes is the longest source symbol, so that a repair over it still fits the MTU.
func (c *Config) symbolBytes() int {
	return c.MTU - packetExtra - wire.RepairHeaderSize
}

// dataBytes is the most media a source packet carries, beside its own and a frame's header.
func (c *Config) dataBytes() int {
	return c.symbolBytes() - fec.LengthBytes - (wire.SourceHeaderSize - 1)
}

// packets is how many packets a latency and a bit holds at MaxBitrate, as a power of two: the length of
// the send buffer and of the playout ring. That is the stated playout bound: packets() × MTU bytes.
func (c *Config) packets() int {
	n := c.MaxBitrate.Bytes(max(c.Latency, c.MaxLatency)+250*time.Millisecond)/c.dataBytes() + fec.MaxCount
	return 1 << bits.Len(uint(max(255, min(n, 4095))))
}

// A decoder keeps within its share of 512 KiB of FEC and ARQ state: it remembers decoderSymbols packets, more than a second
// at 4 Mbit/s, and the bytes of decoderStored, of frames that are not whole first.
const (
	decoderSymbols   = 512
	decoderStored    = 288
	decoderEquations = 96
)

func (c *Config) decoderConfig() fec.Config {
	return fec.Config{Symbols: decoderSymbols, Stored: decoderStored, SymbolBytes: c.symbolBytes(), Equations: decoderEquations}
}

// overhead is what a sealed datagram has beyond its body.
func (c *Config) ssrc() uint32 { return wire.SSRC(c.Tag, c.Epoch) }
