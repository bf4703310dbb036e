// Package adapt holds the rules by which SRT encoders in the field choose their bitrate (belacoder's, Moblin's form of it, and
// Moblin's own), and ours for fairlead push. None is told anything by its receiver; each looks at the smoothed round trip that comes back in ACKs, at how
// many packets are not acknowledged, and at the latency, which sets its thresholds:
//
//	w := adapt.Watch{Rule: adapt.NewBelacoder(adapt.Range{Min: 300 * congestion.Kbps, Max: 6 * congestion.Mbps})}
//	each w.Rule.Every(): target := w.Update(now, caller)
//
// The figures are those of BELABOX/belacoder (belacoder.c, 2023-10) and eerimoq/moblin (Moblin/Media/AdaptiveBitrate, 2026).
//
// What it leaves to others: the connection (srt), the encoder.
package adapt

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/srt"
)

// Sample is what a rule looks at; from Least on it is for ours only.
type Sample struct {
	RTT      time.Duration      // smoothed, as the peer's ACKs say
	Buffered int                // packets not acknowledged, sent or not
	SendRate congestion.Bitrate // since the last sample, resends included
	Latency  time.Duration      // of the connection

	Least     time.Duration      // shortest RTT of the last 10 to 20 s
	Delivered congestion.Bitrate // arrives at the peer, as it says
	Backlog   time.Duration      // how long a packet waits before it is sent
	MediaRate congestion.Bitrate // of SendRate what is neither resend nor parity
	Sent      int                // packets since the last sample, without resends and parity
	Lost      int                // packets the peer has found missing since
}

// Rule turns samples, one each Every, into the encoder's bitrate.
type Rule interface {
	Every() time.Duration
	// Update takes the time since any zero, which only grows.
	Update(now time.Duration, s Sample) congestion.Bitrate
}

// Range bounds a rule. Start: 0 is the rule's own, Min of belacoder and 1 Mbit/s of Moblin.
type Range struct{ Min, Max, Start congestion.Bitrate }

func (r *Range) clamp(b congestion.Bitrate) congestion.Bitrate { return max(min(b, r.Max), r.Min) }

// Watch feeds a rule from a Caller. It belongs to the Caller's goroutine.
type Watch struct {
	Rule Rule

	began, last time.Time
	all, media  uint64 // bytes
	sent, lost  uint64 // packets
	target      congestion.Bitrate
}

// Update returns the bitrate for the encoder, a new one when Every has passed; 0: there is no connection yet.
func (w *Watch) Update(now time.Time, c *srt.Caller) congestion.Bitrate {
	if !c.Connected() {
		return w.target
	}
	if w.began.IsZero() {
		w.began = now.Add(-w.Rule.Every())
		w.last = w.began
	}
	d := now.Sub(w.last)
	if d < w.Rule.Every() {
		return w.target
	}
	s := c.Stats()
	all, media := s.SentBytes+s.ResentBytes+s.ParityBytes, s.SentBytes
	rate := func(bytes uint64) congestion.Bitrate { return congestion.Bitrate(float64(8*bytes) / d.Seconds()) }
	sample := Sample{
		RTT: s.RTT, Buffered: c.Buffered(), SendRate: rate(all - w.all), Latency: s.Latency,
		Least: s.Least, Delivered: congestion.Bitrate(8 * uint64(s.ByteRate)), Backlog: c.Backlog(now), MediaRate: rate(media - w.media),
	}
	sample.Sent, sample.Lost = int(s.Sent-w.sent), int(s.Lost-w.lost)
	w.last, w.all, w.media, w.sent, w.lost = now, all, media, s.Sent, s.Lost
	w.target = w.Rule.Update(now.Sub(w.began), sample)
	return w.target
}
