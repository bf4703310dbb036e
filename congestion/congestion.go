// Package congestion decides how fast to send: arrivals and losses in, pacing
// rate, inflight window and the encoder's bitrate out. It is a pure function of
// what it is told: no clock, no goroutine, nothing allocated per feedback.
//
//	packets' fates ─▶ estimator: base delay, queue, delivered rate, clock drift
//	                      │            loss auditor: whose loss is it?
//	                      ▼                 │
//	                  Controller ◀──────────┘
//	                      │ startup · track · hold · probe (a cut, to test) · compete · outage
//	                      ▼
//	  PacingRate, Window ─▶ pacer      Target ─▶ Split (media, FEC, resend, audio, padding) ─▶ Advice (encoder)
//
// The law, its constants and what it does on which link are in docs/congestion.md.
//
// What it leaves to others: feedback formats (transport/wire), which packet is lost (transport/arq),
// what to send with the rate (transport/session) and how the encoder is told (transport/uplink).
package congestion

import "time"

// Bitrate is in bits per second.
type Bitrate int64

// Common units: a megabit is 1,000,000 bits.
const (
	Kbps Bitrate = 1000
	Mbps Bitrate = 1000 * Kbps
)

// Bytes is how many bytes the rate carries in d.
func (b Bitrate) Bytes(d time.Duration) int {
	return int(float64(b) / 8 * d.Seconds())
}

// Time is how long the rate takes for n bytes; a rate of zero takes an hour.
func (b Bitrate) Time(n int) time.Duration {
	if b <= 0 {
		return time.Hour
	}
	return time.Duration(float64(n) * 8 / float64(b) * float64(time.Second))
}

// Packet is what became of one packet. Times are since the session's zero; Arrival is on the receiver's
// clock, at an unknown offset. A packet that was recovered counts as lost.
type Packet struct {
	Sent, Arrival time.Duration
	Size          int // bytes on the wire, headers included
	Lost          bool
	CE            bool // congestion experienced, RFC 3168
}
