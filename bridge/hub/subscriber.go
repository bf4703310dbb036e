package hub

import (
	"context"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// SubscriberInfo says who reads, for logs and statistics.
type SubscriberInfo struct {
	Protocol string // "http-flv", "rtmp", "push", …
	Peer     string
	Wait     bool // join before there is a publisher
	NoCache  bool // begin at the next key frame, not with the newest GOP
	Seat     bool // gets no frames: keeps the stream through its hold, and Read says when it is over

	Lag    Lag     // how old what waits may become; zero: Config.QueueTime decides
	Player *Player // judges what this subscriber has read; nil: nobody does
	// Borrows: a frame is used until the next Read or TryRead and no longer, so that its memory may be used again (NewArena).
	Borrows bool
	// Pump, when set, is called in place of waking Read when a publisher has written a frame for this subscriber: in the publisher's
	// goroutine, without the stream's lock, with the time of writing. It may call TryRead, must not wait, and calls Wake for what it cannot do.
	Pump func(s *Subscriber, now time.Time)

	Succeed *Subscriber // begin at the next key frame, right where that one, of the same stream, ends with ErrSucceeded
}

// Lag bounds how long frames wait in the queue of a subscriber that delivers fresh media or none, by class: what nothing refers to goes
// first, then the rest of the GOP, sound last. Zero Skip turns it off; zero Thin and Fresh are half of Skip.
type Lag struct {
	Thin  time.Duration // the oldest waits longer: frames that no other refers to are left out
	Skip  time.Duration // the oldest waits longer: what waits is dropped but for what is fresh, pictures up to a key frame
	Fresh time.Duration // what waits no longer than this is fresh
}

// Subscriber reads one stream. Read is for one goroutine; Close may be called from anywhere.
//
// Its queue holds at most Config.QueueBytes beyond the GOP it began with, and of time Config.QueueTime or what its Lag says. When it is
// full everything in it is dropped and reading goes on at the next key frame: whole GOPs are lost or their tails, never parts.
type Subscriber struct {
	stream *stream
	info   SubscriberInfo
	since  time.Time
	wake   chan struct{} // capacity 1: something changed

	// Guarded by stream.mu.
	queue   []queued
	head    int
	bytes   int  // payload bytes queued beyond the first GOP
	burst   int  // frames of the first GOP still queued
	started bool // the track list is complete
	waitKey bool // drop pictures until the next key frame
	mute    bool // and sound too
	stale   bool // the reader fell behind by Lag.Skip and has not had anything fresh yet
	ended   bool
	lent    *media.Frame // read last, where info.Borrows
	err     error        // what Read says at the end; nil: io.EOF
	counts  SubscriberCounts
}

// Read returns the next frame; it lends it (the frame is shared and immutable). io.EOF: the stream is over.
// ErrSucceeded: the rest is another's (SubscriberInfo.Succeed).
func (s *Subscriber) Read(ctx context.Context) (*media.Frame, error) {
	for {
		f, _, err := s.pop(s.now())
		if f != nil || err != nil {
			return f, err
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// TryRead is Read without waiting: no frame and no error when nothing is queued. now is the time; zero: the hub's clock is asked. more: there is
// more to read at once.
func (s *Subscriber) TryRead(now time.Time) (f *media.Frame, more bool, err error) {
	if now.IsZero() {
		return s.pop(s.now())
	}
	return s.pop(s.stream.hub.sinceZero(now))
}

// now is the hub's clock, where the time matters.
func (s *Subscriber) now() time.Duration {
	if s.info.Lag.Skip == 0 && s.info.Player == nil {
		return 0
	}
	return s.stream.hub.now()
}

// Wait waits until there may be something to read, or ctx ends; it returns ctx's cause then.
func (s *Subscriber) Wait(ctx context.Context) error {
	select {
	case <-s.wake:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Wake ends a Wait, or the next one. It may be called from anywhere.
func (s *Subscriber) Wake() { s.notify() }

// Tracks returns the configuration of every track known now, by track index; it is complete once Read has returned a frame.
func (s *Subscriber) Tracks() []*media.Config {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	var out []*media.Config
	for _, c := range s.stream.tracks {
		if c != nil {
			out = append(out, c)
		}
	}
	return out
}

// Stats returns a snapshot.
func (s *Subscriber) Stats() SubscriberStats {
	s.stream.mu.Lock()
	defer s.stream.mu.Unlock()
	return s.statsLocked()
}

// Close leaves the stream. It may be called twice.
func (s *Subscriber) Close() { s.stream.leave(s) }
