package run

import (
	"context"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bench/emu"
	"github.com/fairlead-live/fairlead/bench/report"
	"github.com/fairlead-live/fairlead/bench/watch"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// step of a timeline.
const step = 100 * time.Millisecond

// recorder collects what comes out of a cell.
type recorder struct {
	start    time.Time
	source   []stutter.Frame
	clip     *Clip
	follower *follower     // nil: the clip is sent as it is
	complete chan struct{} // closed when the last frame of the source has come
	drained  chan struct{} // and when what is sent behind it has, but for the last picture, which some programs keep until another follows

	mu      sync.Mutex // guards the rest
	meter   *stutter.Meter
	ended   bool // complete is closed
	empty   bool // drained is
	sound   int
	bytes   int64     // of media, both tracks, the part behind the scored one too
	media   []float64 // bits that came in a step
	latency []float64 // ms, −1: no frame
	sent    []float64 // bits on the link, as sampled
	lost    []float64
}

func newRecorder(start time.Time, source []stutter.Frame, clip *Clip) *recorder {
	return &recorder{
		start: start, source: source, clip: clip, complete: make(chan struct{}), drained: make(chan struct{}),
		meter: stutter.NewMeter(stutter.Config{Source: source}),
	}
}

// frame takes one frame that came out.
func (r *recorder) frame(f *media.Frame) {
	at := f.Arrival.Sub(r.start)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !f.Codec.IsVideo() {
		r.sound++
		r.bytes += int64(len(f.Payload))
		return
	}
	s := watch.FrameOf(f)
	if s.Seq = r.clip.Find(f); s.Seq < 0 && r.follower != nil {
		s.Seq = r.follower.find(f)
	}
	if s.Seq >= 0 {
		r.bytes += int64(s.Size)
	}
	if s.Seq >= int64(len(r.clip.Frames))-2 && !r.empty {
		r.empty = true
		close(r.drained)
	}
	if s.Seq >= int64(len(r.source)) {
		return // of the part that is sent behind
	}
	r.meter.Observe(s, at)
	i := int(max(0, at) / step)
	r.media = grow(r.media, i, 0)
	r.latency = grow(r.latency, i, -1)
	r.media[i] += float64(8 * s.Size)
	if s.Seq < 0 {
		return
	}
	r.latency[i] = max(r.latency[i], millis(at-r.source[s.Seq].Capture))
	if s.Seq == int64(len(r.source))-1 && !r.ended {
		r.ended = true
		close(r.complete)
	}
}

// keyed says that picture seq has become a key frame.
func (r *recorder) keyed(seq int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq < int64(len(r.source)) {
		r.source[seq].Key = true
	}
}

// sample reads the link's counters once a step until ctx ends.
func (r *recorder) sample(ctx context.Context, pair *emu.Pair) {
	tick := time.NewTicker(step)
	defer tick.Stop()
	var bytes, lost uint64
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			up, _ := pair.Counters()
			i := int(now.Sub(r.start)/step) - 1 // what happened in the step that ends now
			r.mu.Lock()
			if i >= 0 {
				r.sent, r.lost = grow(r.sent, i, 0), grow(r.lost, i, 0)
				r.sent[i] += float64(8 * (up.AdmittedBytes - bytes))
				r.lost[i] += float64(up.Drops() - lost)
			}
			bytes, lost = up.AdmittedBytes, up.Drops()
			r.mu.Unlock()
		}
	}
}

func grow(s []float64, i int, fill float64) []float64 {
	for len(s) <= i {
		s = append(s, fill)
	}
	return s
}

// finish writes the score and the timeline into out, whose Up is there already. end is since the start.
func (r *recorder) finish(out *report.Cell, end time.Duration, c *cell) {
	r.mu.Lock()
	defer r.mu.Unlock()
	score := r.meter.Score(end)
	out.Score = score.Summary()
	// Over the time in which the media was made: what is waited for at the end is not part of it.
	out.Score.MediaBps = float64(score.Bytes) * 8 / c.media.Seconds()
	if r.bytes > 0 {
		out.Score.WireRatio = float64(out.Up.Bytes) / float64(r.bytes)
		out.Both = float64(out.Up.Bytes+out.Down.Bytes) / float64(r.bytes)
	}
	out.Sound = report.Sound{Expected: c.clip.soundUpTo(c.media), Arrived: min(r.sound, c.clip.soundUpTo(c.media))}
	n := int(end / step)
	perSecond := float64(time.Second / step)
	out.Timeline = &report.Timeline{
		StepMs: float64(step / time.Millisecond), CapacityBps: capacity(c.profile.Up, c.seed, n),
		SentBps: scaled(r.sent, n, perSecond, 0), ArrivedBps: scaled(r.media, n, perSecond, 0),
		LatencyMs: scaled(r.latency, n, 1, -1), Lost: scaled(r.lost, n, 1, 0),
	}
}

func scaled(s []float64, n int, by, fill float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		if out[i] = fill; i < len(s) {
			if out[i] = s[i]; s[i] != -1 {
				out[i] *= by
			}
		}
	}
	return out
}

func wireOf(c emu.Counters) report.Wire {
	return report.Wire{
		Packets: c.Admitted, Bytes: c.AdmittedBytes, Delivered: c.Delivered, Lost: c.Drops(),
		LateP99Ms: millis(c.LateP99),
	}
}
