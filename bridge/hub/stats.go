package hub

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/advice"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// StreamCounts are totals over the life of a stream.
type StreamCounts struct {
	Publishes uint64 // publishers so far
	Takeovers uint64 // of these, took the key from another one
	InUse     uint64 // publishers refused because another one had the key
	Frames    uint64 // written
	Bytes     uint64 // payload bytes written
	Dropped   uint64 // frames refused: no configuration, empty, or of a track beyond the eighth
	Skipped   uint64 // frames of a publisher that came back: before its first key frame, and sound in whose place silence was sent
	Slow      uint64 // readers of a transport stream that were cut because they did not keep up
	Held      uint64 // frames made here while there was no publisher
}

// SubscriberCounts are totals: Offered = Delivered + Dropped + what is queued now.
type SubscriberCounts struct {
	Offered   uint64
	Delivered uint64
	Dropped   uint64 // because the queue was full, and up to the next key frame
	Thinned   uint64 // of these, alone and because nothing referred to them
	Gaps      uint64 // times the queue was full
	Bytes     uint64 // payload bytes delivered
}

// StreamStats is a snapshot of one stream.
type StreamStats struct {
	Name        string
	Publisher   *PublisherStats // nil: held
	Tracks      []*media.Config
	Counts      StreamCounts
	Jumps       uint64        // breaks of the source's timeline
	Clamped     uint64        // frames whose DTS went back a little
	GOPFrames   int           // cached
	GOPBytes    int           // cached
	Time        time.Duration // newest DTS
	Subscribers []SubscriberStats
	Stutter     stutter.Report
	Shape       advice.Shape
	TS          *TSStats // nil: its publisher passes no transport stream through
}

// PublisherStats is a snapshot of a publisher.
type PublisherStats struct {
	PublisherInfo
	Since time.Time
}

// SubscriberStats is a snapshot of a subscriber.
type SubscriberStats struct {
	SubscriberInfo
	Since  time.Time
	Counts SubscriberCounts
	Queued int           // frames
	Lag    time.Duration // newest DTS of the stream minus the oldest queued
	Age    time.Duration // how long the oldest queued has waited
}

func (s *stream) stats() StreamStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := StreamStats{
		Name: s.name, Counts: s.counts, Jumps: s.time.jumps, Clamped: s.time.clamped,
		GOPFrames: len(s.gop), GOPBytes: s.gopBytes, Time: s.time.last, Stutter: s.live.Report(), Shape: s.shape.Shape(),
	}
	if p := s.publisher; p != nil {
		out.Publisher = &PublisherStats{p.info, p.since}
	}
	for _, c := range s.tracks {
		if c != nil {
			out.Tracks = append(out.Tracks, c)
		}
	}
	for _, sub := range s.subs {
		if sub.info.Seat {
			continue
		}
		out.Subscribers = append(out.Subscribers, sub.statsLocked())
	}
	for _, sub := range s.ts.subs {
		if sub.counts.Offered > 0 || s.ts.on { // or it only waits for a stream that may have one
			out.Subscribers = append(out.Subscribers, sub.statsLocked())
		}
	}
	if s.ts.on {
		out.TS = &TSStats{Bytes: s.ts.total, Cached: s.ts.bytes}
	}
	return out
}

func (s *Subscriber) statsLocked() SubscriberStats {
	out := SubscriberStats{SubscriberInfo: s.info, Since: s.since, Counts: s.counts, Queued: len(s.queue) - s.head}
	if out.Queued > 0 {
		out.Lag = s.stream.time.last - s.queue[s.head].DTS
		out.Age = s.stream.hub.now() - s.queue[s.head].at
	}
	return out
}
