package hub

import (
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// Judge looks at every stream, and says why its viewers wait: call it ten times a second. facts says what is known of a publisher's way
// here; the hub knows who publishes. A stream is asked for before its lock is taken.
func (h *Hub) Judge(facts func(name string) stutter.Facts) {
	for _, s := range h.all() {
		f := facts(s.name)
		s.look(f)
	}
}

func (s *stream) look(f stutter.Facts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.hub.now()
	f.Publishing = s.publisher != nil
	s.silent = f.Silent
	if !f.Numbered {
		f.Received = s.counts.Bytes
	}
	s.live.Tick(at, f)
	s.watchStall(at)
	for _, sub := range s.subs {
		if p := sub.info.Player; p != nil {
			p.mu.Lock()
			p.live.TickOutput(at, s.live)
			p.stream = s
			p.mu.Unlock()
		}
	}
}

// judged says whether a frame is of the track that the stream is judged by: pictures, or sound where there are none.
func (s *stream) judged(f *media.Frame) bool {
	if f.Codec.IsVideo() {
		return true
	}
	video, _ := s.kinds()
	return !video
}

func judgedFrame(f *media.Frame) stutter.Frame {
	return stutter.Frame{
		DTS: f.DTS, Key: f.Flags.Has(media.Key), Droppable: f.Flags.Has(media.Droppable), Discontinuity: f.Flags.Has(media.Discontinuity),
		Held: f.Flags.Has(media.Held), Size: len(f.Payload),
	}
}

// judge shows a frame that leaves now to the stream's player; mu is held.
func (s *stream) judge(f *media.Frame, at time.Duration) {
	if s.judged(f) {
		s.live.Observe(judgedFrame(f), at)
	}
}

// show is judge for a subscriber's player.
func (s *stream) show(p *Player, f *media.Frame, now time.Duration) {
	if !s.judged(f) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live.Observe(judgedFrame(f), now)
}

// Player judges what a subscriber, or one after another, has read. It outlives them. What a destination does not take is not read, and so
// its viewers wait; what the stream did not have keeps the stream's cause. Its lock is taken while a stream's is held, and never the other way.
type Player struct {
	mu     sync.Mutex // guards what follows
	live   *stutter.Live
	stream *stream        // whose judgement live reads; nil: of none so far
	past   stutter.Report // of streams that have ended
}

// NewPlayer makes one.
func NewPlayer() *Player { return &Player{live: stutter.NewOutput()} }

// Report says what its viewers got. Its totals go on when a stream ends and begins anew.
func (p *Player) Report() stutter.Report {
	for {
		p.mu.Lock()
		s := p.stream
		p.mu.Unlock()
		if r, ok := p.reportBeside(s); ok {
			return r
		}
	}
}

// reportBeside is Report with the lock of the stream whose judgement it reads, if it still does.
func (p *Player) reportBeside(s *stream) (r stutter.Report, ok bool) {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stream != s {
		return r, false
	}
	return p.report(), true
}

func (p *Player) report() stutter.Report {
	r := p.live.Report()
	r.Add(&p.past)
	return r
}

// end says that the stream is over: nobody waits for it any more.
func (p *Player) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.past, p.live, p.stream = p.report(), stutter.NewOutput(), nil
	p.past.End()
}
