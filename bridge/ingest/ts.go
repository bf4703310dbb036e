// Package ingest turns what a transport delivers into frames, and counts what a page and a metric want to know of it.
//
//	payloads of an SRT session    ─▶ TS     ─▶ media.Frame ─▶ hub
//	payloads of an uplink session ─▶ Uplink ─▶ media.Frame ─▶ hub
//
// What this package leaves to others: sockets and sessions (transport), formats (mpegts), and who may
// publish (hub).
package ingest

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
)

// TS makes frames of a transport stream that comes in payloads. It is owned by one goroutine; its memory is
// that of an mpegts.Demuxer.
type TS struct {
	d    *mpegts.Demuxer
	rate meter

	frames [2]uint64 // video, audio
	bytes  [2]uint64
	keys   uint64
}

// NewTS makes a TS.
func NewTS(cfg mpegts.Config) *TS { return &TS{d: mpegts.NewDemuxer(cfg)} }

// Write takes the next payload, borrows it, and is told when it came. Drain Next afterwards.
func (t *TS) Write(now time.Time, payload []byte) {
	t.rate.add(now, len(payload))
	t.d.Write(now, payload)
}

// Flush ends the stream; see mpegts.Demuxer.Flush.
func (t *TS) Flush() { t.d.Flush() }

// Next hands over the next frame; false: there is none until the next Write.
func (t *TS) Next() (*media.Frame, bool) {
	f, ok := t.d.Next()
	if !ok {
		return nil, false
	}
	kind := 1
	if f.Codec.IsVideo() {
		kind = 0
	}
	t.frames[kind]++
	t.bytes[kind] += uint64(len(f.Payload))
	if f.IsKeyVideo() {
		t.keys++
	}
	return f, true
}

// Tracks lists what the stream carries now.
func (t *TS) Tracks() []mpegts.Track { return t.d.Tracks() }

// Ignored lists what the stream has that we do not carry.
func (t *TS) Ignored() []mpegts.Ignored { return t.d.Ignored() }

// Programs is how many programs the stream has now; one of them is followed.
func (t *TS) Programs() int { return t.d.Stats().Programs }

// Drop is how many times a reason to drop something has held.
type Drop struct {
	Reason mpegts.DropReason
	Count  uint64
}

// Stats is a snapshot. All counts are since the start.
type Stats struct {
	Bytes       uint64 // of transport stream
	VideoFrames uint64 // handed over by Next
	AudioFrames uint64
	KeyFrames   uint64 // of VideoFrames
	VideoBytes  uint64 // of their payloads
	AudioBytes  uint64
	BitsPerSec  float64 // of transport stream, over the last 2 s, or since the start when that is less
	Drops       []Drop  // reasons that have held; null packets and unknown PIDs are normal in a multiplex
	TS          mpegts.Stats
}

// Stats returns a snapshot as of now.
func (t *TS) Stats(now time.Time) Stats {
	s := Stats{
		TS:          t.d.Stats(),
		VideoFrames: t.frames[0],
		AudioFrames: t.frames[1],
		KeyFrames:   t.keys,
		VideoBytes:  t.bytes[0],
		AudioBytes:  t.bytes[1],
		BitsPerSec:  t.rate.bitsPerSec(now),
	}
	s.Bytes = s.TS.Bytes
	for _, r := range mpegts.DropReasons() {
		if n := s.TS.Drops[r]; n > 0 {
			s.Drops = append(s.Drops, Drop{Reason: r, Count: n})
		}
	}
	return s
}
