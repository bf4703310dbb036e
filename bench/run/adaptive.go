package run

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bench/emu"
	"github.com/fairlead-live/fairlead/bridge/feedback"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
)

// follower stands for an encoder that makes what a feed tells it: each picture of the clip with its slices cut short, in the proportion
// of what it may make to what the clip has. Nobody decodes them; they are known by the hash of what was made. A key
// frame that is asked for is the clip's last one again.
//
// Goroutines: listen is one, which ends with ctx. The methods may be called from anywhere.
type follower struct {
	full float64 // bit/s of the clip's pictures

	mu   sync.Mutex // guards the rest
	told []telling
	asks []time.Time      // for key frames
	key  *media.Frame     // the newest, whole
	keys time.Time        // when one was made last
	made map[uint64]int64 // hash of a picture's slices → its number
}

type telling struct {
	at   time.Time
	rate float64 // bit/s of pictures
}

const (
	followAfter = 100 * time.Millisecond // an encoder's reaction: quic_cc.md §4.4, three frames
	followSound = 128e3                  // bit/s of the clip's sound
	followKeys  = 200 * time.Millisecond // between key frames, as bench/show
	followLeast = 150e3                  // bit/s, what encoders make at least: as bench/show
	followAgain = 200 * time.Millisecond // between attempts to read the feed
	leastSlice  = 24                     // bytes; what is left of it tells pictures apart
)

func newFollower(c *Clip) *follower {
	bytes := 0
	for _, f := range c.media {
		if f.frame.Codec.IsVideo() {
			bytes += len(f.frame.Payload)
		}
	}
	return &follower{full: float64(bytes) * 8 / c.Duration().Seconds(), made: map[uint64]int64{}}
}

// listen reads the feed until ctx ends. network is the side's.
func (f *follower) listen(ctx context.Context, pair *emu.Pair, url string) {
	dial := networkOf(pair, emu.Near).Dial
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, n, a string) (net.Conn, error) { return dial(ctx, n, a) }}}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		_ = feedback.Listen(ctx, client, url, func(n feedback.News) error {
			if n.Report != nil {
				f.tell(time.Now(), float64(n.Report.Target)-followSound)
			}
			if n.Keyframe {
				f.ask(time.Now())
			}
			return nil
		})
		select { // the program is not up yet
		case <-ctx.Done():
		case <-time.After(followAgain):
		}
	}
}

// tell says what the pictures may take from now on, bit/s.
func (f *follower) tell(now time.Time, rate float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.told); n > 0 && f.told[n-1].rate == rate {
		return
	}
	f.told = append(f.told, telling{now, rate})
}

// begin says what it makes until it is told otherwise.
func (f *follower) begin(rate float64) { f.tell(time.Time{}, rate) }

func (f *follower) ask(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asks) == 0 {
		f.asks = append(f.asks, now)
	}
}

// again is the key frame that the encoder makes in the place of a picture; nil: none was asked for.
func (f *follower) again(now time.Time, whole *media.Frame) *media.Frame {
	f.mu.Lock()
	defer f.mu.Unlock()
	if whole.Flags.Has(media.Key) {
		f.key, f.keys, f.asks = whole, now, nil
		return nil
	}
	if len(f.asks) == 0 || now.Sub(f.asks[0]) < followAfter || now.Sub(f.keys) < followKeys {
		return nil
	}
	f.keys, f.asks = now, nil
	return f.key
}

// share is how much of a picture is made now, 0..1.
func (f *follower) share(now time.Time) float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := 0
	for i+1 < len(f.told) && now.Sub(f.told[i+1].at) >= followAfter {
		i++
	}
	f.told = f.told[i:] // what is newer is not known to the encoder yet
	if len(f.told) == 0 || now.Sub(f.told[0].at) < followAfter {
		return 1
	}
	return min(1, max(followLeast, f.told[0].rate)/f.full)
}

// picture makes picture number seq, and says whether it is a key frame that the clip does not have.
func (f *follower) picture(now time.Time, seq int64, whole *media.Frame) (made *media.Frame, key bool) {
	part := f.share(now)
	out := *whole
	if k := f.again(now, whole); k != nil {
		whole, key = k, true
		out.Flags |= media.Key
	}
	out.Payload = nil
	for n := range media.NALs(whole.Payload) {
		if keep := max(leastSlice, int(part*float64(len(n)))); isSlice(whole.Codec, n) && (keep < len(n) || key) {
			keep = min(keep, len(n))
			n = append([]byte(nil), n[:keep]...)
			n[keep-1] = 0x80                // a slice does not end in 0
			if key && keep > leastSlice/2 { // no two are the same; and no start code comes out of it
				for i := range 4 {
					n[keep-2-i] = 0x80 | byte(seq>>(7*i))
				}
			}
		}
		out.Payload = media.AppendNAL(out.Payload, n)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made[sumOf(&out)] = seq
	return &out, key
}

// find is Clip.Find for what it made.
func (f *follower) find(p *media.Frame) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i, ok := f.made[sumOf(p)]; ok {
		return i
	}
	return -1
}

// play makes the pictures and writes them with the sound as a transport stream, when they are due after start.
// onKey is told of each key frame that the clip does not have, before it leaves.
func (f *follower) play(ctx context.Context, start time.Time, c *Clip, w io.Writer, onKey func(seq int64)) (late lateness, err error) {
	frames := make([]*media.Frame, len(c.media))
	for i, m := range c.media {
		frames[i] = m.frame
	}
	mux, err := mpegts.NewMuxer(mpegts.TracksOf(frames...))
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var out []byte
	seq := int64(0)
	for _, m := range c.media {
		timer.Reset(time.Until(start.Add(m.at)))
		select {
		case <-ctx.Done():
			return late, context.Cause(ctx)
		case <-timer.C:
		}
		late = append(late, time.Since(start.Add(m.at)))
		frame := m.frame
		if frame.Codec.IsVideo() {
			var key bool
			if frame, key = f.picture(time.Now(), seq, frame); key {
				onKey(seq)
			}
			seq++
		}
		out = mux.AppendFrame(out[:0], frame)
		for b := out; len(b) > 0; {
			n := min(len(b), datagram)
			if _, err := w.Write(b[:n]); err != nil {
				return late, err
			}
			b = b[n:]
		}
	}
	return late, nil
}
