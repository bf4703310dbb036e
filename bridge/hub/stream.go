package hub

import (
	"slices"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/advice"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// settle is how long (in media time) a new stream waits for its second kind of track before anyone sees it, so that
// the first thing a subscriber learns is the whole list of tracks. Ours: ffmpeg's audio comes 137 ms behind at most.
const settle = 500 * time.Millisecond

// overhead is what a queued frame costs beyond its payload, so that a flood of tiny frames is bounded too.
const overhead = 256

func cost(f *media.Frame) int { return len(f.Payload) + overhead }

// needKeyFor is how long a publisher that is back may take to its first key frame: the longest GOP in use. Ours.
const needKeyFor = 10 * time.Second

// maxTracks bounds what a stream remembers per track.
const maxTracks = 8

// stream is one key's timeline, cache, publisher and subscribers.
type stream struct {
	hub  *Hub
	name string

	mu        sync.Mutex // guards what follows
	gone      bool
	publisher *Publisher
	pumping   *Publisher // calls the pumps of what is offered now; nil: readers are woken
	subs      []*Subscriber
	time      timeline
	tracks    [maxTracks]*media.Config
	settled   bool
	gop       []*media.Frame // from the newest key frame on; before settled: everything
	gopBytes  int
	gopBroken bool // the GOP outgrew its bound: joiners wait for the next key frame
	holdTimer *time.Timer
	fillTimer *time.Timer
	filler    *filler       // while held frames are being made
	seam      *seam         // from the end of a publisher's sound to the next one's
	heard     time.Time     // when the newest frame of a publisher was shared
	silent    time.Duration // since anything came of the publisher's link, as last judged; 0: not known
	lastKey   *media.Frame  // newest key frame, what a held stream shows
	needKey   bool          // a publisher is back, or may come back, and its first key frame is not here yet
	needSince time.Time     // when its first frame came; zero: not yet
	counts    StreamCounts

	live       *stutter.Live // what a viewer gets who reads at once
	stall      stall
	shape      advice.Meter // what the publisher's frames look like
	succession succession
	successors int // subscribers whose Succeed is still to come
	ts         passage
}

func newStream(h *Hub, name string) *stream {
	return &stream{hub: h, name: name, live: stutter.NewLive(), ts: passage{tables: -1}}
}

func (s *stream) publish(info PublisherInfo) (*Publisher, error) {
	now := s.hub.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, errGone
	}
	var before *PublisherInfo
	if old := s.publisher; old != nil {
		if err := s.mayTake(old, info, now); err != nil {
			s.counts.InUse++
			return nil, err
		}
		s.counts.Takeovers++
		before = &old.info
		s.drop(old, ErrReplaced)
	}
	resumed := s.holdTimer != nil
	if resumed {
		s.holdTimer.Stop()
		s.holdTimer = nil
	}
	s.startFill()
	s.needKey, s.needSince, s.silent = s.lastKey != nil, time.Time{}, 0
	p := &Publisher{stream: s, info: info, before: before, since: now, heard: now, done: make(chan struct{})}
	s.publisher = p
	s.ts.reset()
	s.counts.Publishes++
	s.shape = advice.Meter{}
	s.time.begin()
	s.sew()
	s.tell(Change{Kind: Published, Publisher: info})
	if resumed {
		s.tell(Change{Kind: Resumed, Publisher: info})
	}
	return p, nil
}

// drop takes the publisher away; mu is held.
func (s *stream) drop(p *Publisher, cause error) {
	if s.publisher != p {
		return
	}
	s.publisher = nil
	p.err = cause
	close(p.done)
	s.tell(Change{Kind: Unpublished, Publisher: p.info, Err: cause})
}

// lost is drop, and the hold that follows; mu is not held.
func (s *stream) lost(p *Publisher, cause error) {
	s.mu.Lock()
	if s.publisher != p {
		s.mu.Unlock()
		return
	}
	s.drop(p, cause)
	empty := s.unused()
	if !empty {
		// What is held begins after fillAfter: who is gone for Hold and comes back is in time.
		s.tell(Change{Kind: Held})
		hold := s.hub.cfg.Hold
		s.holdTimer = time.AfterFunc(hold+min(fillAfter, hold/10), func() { s.end(nil) })
	}
	s.mu.Unlock()
	if empty {
		s.end(nil)
	}
}

// end closes a stream that has no publisher, or any stream when cause is set.
func (s *stream) end(cause error) {
	s.mu.Lock()
	if s.gone || s.publisher != nil && cause == nil {
		s.mu.Unlock()
		return
	}
	s.gone = true
	if s.holdTimer != nil {
		s.holdTimer.Stop()
	}
	if s.fillTimer != nil {
		s.fillTimer.Stop()
	}
	if s.publisher != nil {
		s.drop(s.publisher, cause)
	}
	for _, sub := range s.subs {
		sub.finish(nil)
		if sub.info.Player != nil {
			sub.info.Player.end()
		}
	}
	s.ts.over()
	s.ts.reset()
	s.forgetGOP()
	s.forgetKey()
	s.subs, s.gop = nil, nil
	if s.counts.Publishes > 0 {
		s.tell(Change{Kind: Ended})
	}
	s.mu.Unlock()
	s.hub.forget(s)
}

// write takes a frame and has those who pump take it from their queues.
func (s *stream) write(p *Publisher, f *media.Frame) error {
	now := s.hub.cfg.Now()
	err := s.take(p, f, now)
	for i, sub := range p.pumps {
		p.pumps[i] = nil
		sub.info.Pump(sub, now)
	}
	p.pumps = p.pumps[:0]
	return err
}

func (s *stream) take(p *Publisher, f *media.Frame, now time.Time) error {
	defer f.Release() // those who keep it hold it
	if f.Arrival.IsZero() {
		f.Arrival = now
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.publisher != p {
		return p.err
	}
	p.heard = now
	if !p.passing && len(s.ts.subs) > 0 { // it has frames and no transport stream
		s.ts.over()
	}
	if f.Track >= maxTracks || f.Config == nil || len(f.Payload) == 0 {
		s.counts.Dropped++
		return nil
	}
	s.counts.Frames++
	s.counts.Bytes += uint64(len(f.Payload))
	if f.IsKeyVideo() {
		f.Hold()
		s.forgetKey()
		s.lastKey, s.needKey = f, false
	}
	if s.needKey && s.needSince.IsZero() {
		s.needSince = now
	}
	if s.needKey && now.Sub(s.needSince) > needKeyFor { // it has no pictures any more
		s.needKey = false
		s.forgetKey()
	}
	if s.needKey { // who stayed can show nothing before the key frame, and sound goes with the picture
		s.counts.Skipped++
		return nil
	}
	s.heard = now
	s.resume(f)
	s.shape.Observe(f, f.DTS, f.PTS)
	at := s.hub.sinceZero(now)
	offset := s.time.place(f, at)
	if !s.join(f, &offset, now) {
		s.time.broken = s.time.broken || f.Flags.Has(media.Discontinuity)
		s.counts.Skipped++
		return nil
	}
	s.time.apply(f, offset, at)
	s.tracks[f.Track] = f.Config
	s.remember(f)
	if !s.settle(f) {
		return nil
	}
	s.pumping = p
	s.share(f, now)
	s.pumping = nil
	return nil
}

// share offers a frame to every subscriber; mu is held.
func (s *stream) share(f *media.Frame, now time.Time) {
	at := s.hub.sinceZero(now)
	s.judge(f, at)
	if s.successors > 0 {
		s.succeed(f)
	}
	for _, sub := range s.subs {
		sub.offer(f, at)
	}
}

// succeed ends those whose successors begin with f; mu is held.
func (s *stream) succeed(f *media.Frame) {
	for _, sub := range s.subs {
		if old := sub.info.Succeed; old != nil && sub.started && (f.IsKeyVideo() || !sub.waitKey) {
			sub.info.Succeed = nil
			s.successors--
			old.finish(ErrSucceeded)
		}
	}
}

// settle reports whether the stream is open to subscribers; the frame that opens it was delivered here.
func (s *stream) settle(f *media.Frame) bool {
	if s.settled {
		return true
	}
	video, audio := s.kinds()
	complete := video && audio && slices.ContainsFunc(s.gop, (*media.Frame).IsKeyVideo)
	if !complete && f.DTS-s.gopStart() < settle {
		return false
	}
	s.settled = true
	if video {
		all := s.gop
		s.gop = fromKey(slices.Clone(all))
		hold(s.gop)
		release(all)
	}
	for _, sub := range s.subs {
		sub.start()
	}
	for _, g := range s.gop {
		s.judge(g, s.hub.sinceZero(g.Arrival))
	}
	if !video {
		s.forgetGOP()
	}
	return false
}

// audioLead is how much earlier than the first key frame sound may be to be kept: it was captured with the picture and
// multiplexed a little sooner. Ours.
const audioLead = 150 * time.Millisecond

// fromKey puts the first key frame at the front of what came so far. The sound that belongs to it follows, even where it came first; pictures
// before it are of no use to anyone.
func fromKey(gop []*media.Frame) []*media.Frame {
	i := slices.IndexFunc(gop, (*media.Frame).IsKeyVideo)
	if i < 0 {
		return gop[:0]
	}
	key := gop[i]
	out := []*media.Frame{key}
	for _, f := range gop[:i] {
		if f.Codec.IsAudio() && f.DTS >= key.DTS-audioLead {
			out = append(out, f)
		}
	}
	return append(out, gop[i+1:]...)
}

func (s *stream) gopStart() time.Duration {
	if len(s.gop) == 0 {
		return 0
	}
	return s.gop[0].DTS
}

func (s *stream) kinds() (video, audio bool) {
	for _, c := range s.tracks {
		if c != nil {
			video = video || c.Codec.IsVideo()
			audio = audio || c.Codec.IsAudio()
		}
	}
	return video, audio
}

// remember keeps the newest GOP.
func (s *stream) remember(f *media.Frame) {
	if s.settled {
		if video, _ := s.kinds(); !video {
			return
		}
	}
	if f.IsKeyVideo() && s.settled {
		s.forgetGOP()
		s.gopBroken = false
	}
	if s.gopBroken || s.settled && len(s.gop) == 0 && !f.IsKeyVideo() {
		return
	}
	if s.gopBytes+cost(f) > s.hub.cfg.GOPBytes {
		s.forgetGOP()
		s.gopBroken = true
		return
	}
	f.Hold()
	s.gop = append(s.gop, f)
	s.gopBytes += cost(f)
}

func (s *stream) forgetGOP() {
	release(s.gop)
	clear(s.gop)
	s.gop, s.gopBytes = s.gop[:0], 0
}

func (s *stream) forgetKey() {
	if s.lastKey != nil {
		s.lastKey.Release()
		s.lastKey = nil
	}
}

func (s *stream) subscribe(info SubscriberInfo) (*Subscriber, error) {
	now := s.hub.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, errGone
	}
	if s.publisher == nil && !info.Wait && s.holdTimer == nil {
		return nil, ErrNoStream
	}
	if info.Succeed != nil && info.Succeed.stream != s { // of a stream that has ended meanwhile
		info.Succeed = nil
	}
	sub := &Subscriber{stream: s, info: info, since: now, wake: make(chan struct{}, 1)}
	s.subs = append(s.subs, sub)
	if info.Succeed != nil {
		s.successors++
	}
	if s.settled {
		sub.start()
	}
	return sub, nil
}

// unused reports whether nobody publishes or reads; mu is held.
func (s *stream) unused() bool {
	return s.publisher == nil && len(s.subs) == 0 && len(s.ts.subs) == 0
}

func (s *stream) leave(sub *Subscriber) {
	s.mu.Lock()
	s.subs = slices.DeleteFunc(s.subs, func(o *Subscriber) bool { return o == sub })
	sub.finish(nil)
	sub.counts.Dropped += uint64(len(sub.queue) - sub.head)
	for _, q := range sub.queue[sub.head:] {
		q.Release()
	}
	sub.queue, sub.head, sub.bytes, sub.burst = nil, 0, 0, 0
	if sub.info.Succeed != nil {
		sub.info.Succeed = nil
		s.successors--
	}
	empty := s.unused()
	s.mu.Unlock()
	if empty {
		s.end(nil)
	}
}
