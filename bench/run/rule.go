package run

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bench/encoder"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/srt/adapt"
)

// Encoders of the field that find out by themselves what they may make: words of Scheme.Encoder.
const (
	obsEncoder       = "obs"
	belacoderEncoder = "belacoder"
)

// dynamic is OBS's dynamic bitrate beside our own publisher: it looks at what waits in front of the socket. A kernel takes up to
// net.ipv4.tcp_wmem before anything does.
type dynamic struct {
	mu   sync.Mutex // guards rule
	rule *encoder.OBS
	zero time.Time
}

func newDynamic(f *follower) *dynamic {
	return &dynamic{rule: encoder.NewOBS(int(f.full/1000), followSound/1000), zero: time.Now()}
}

// picture is told what waits when a picture comes, and returns what the encoder makes from now on, bit/s.
func (d *dynamic) picture(now time.Time, waits []clipFrame) float64 {
	var first, newest time.Duration
	have := false
	for _, w := range waits {
		if !w.frame.Codec.IsVideo() {
			continue
		}
		if newest = w.at; !have && !w.frame.Flags.Has(media.Key) {
			first, have = w.at, true
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return 1000 * float64(d.rule.Video(now.Sub(d.zero), len(waits), newest-first, have))
}

// sent is told of a message that the socket has taken.
func (d *dynamic) sent(begin, end time.Time, size int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rule.Sent(begin.Sub(d.zero), end.Sub(d.zero), size)
}

// libsrt reads the statistics that srt-live-transmit writes with -s:1 -pf:json: a line for each packet. It is their io.Writer.
type libsrt struct {
	mu    sync.Mutex // guards the rest
	line  []byte
	rtt   time.Duration
	free  int // bytes of the sending buffer
	room  int // the most that was free
	bytes int // sent since the last sample
	lines int
}

// srtSlot is what libsrt counts for each packet of its sending buffer, whatever its length: SRTO_MSS.
const srtSlot = 1500

// srtLine is what a rule looks at: the names of srt-live-transmit 1.5.
type srtLine struct {
	Link struct {
		RTT float64 `json:"rtt"` // ms
	} `json:"link"`
	Send struct {
		Bytes     int `json:"bytes"`        // since the last line
		Available int `json:"byteAvailBuf"` // slots that are free, in bytes
	} `json:"send"`
}

func (l *libsrt) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const longest = 16 << 10 // of a line; they have 750 bytes
	for n := range bytes.Lines(b) {
		if l.line = append(l.line, n...); len(l.line) > longest {
			l.line = nil
		}
		if !bytes.HasSuffix(l.line, []byte("\n")) {
			continue
		}
		var s srtLine
		if json.Unmarshal(l.line, &s) == nil && s.Send.Available > 0 {
			l.rtt = time.Duration(s.Link.RTT * float64(time.Millisecond))
			l.free, l.room = s.Send.Available, max(l.room, s.Send.Available)
			l.bytes += s.Send.Bytes
			l.lines++
		}
		l.line = l.line[:0]
	}
	return len(b), nil
}

// sample is what belacoder asks libsrt for: the round trip, SRTO_SNDDATA, and what was sent since the last sample.
func (l *libsrt) sample(since, latency time.Duration) (s adapt.Sample, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s = adapt.Sample{
		RTT: l.rtt, Buffered: (l.room - l.free) / srtSlot, Latency: latency,
		SendRate: congestion.Bitrate(float64(l.bytes) * 8 / since.Seconds()),
	}
	l.bytes = 0
	return s, l.lines > 0
}

// belacoder drives the follower by belacoder's rule until ctx ends, from 300 kbit/s, where the rule begins.
func (f *follower) belacoder(ctx context.Context, from *libsrt, latency time.Duration) {
	rule := adapt.NewBelacoder(adapt.Range{Min: 300 * congestion.Kbps, Max: congestion.Bitrate(f.full)})
	tick := time.NewTicker(rule.Every())
	defer tick.Stop()
	zero := time.Now()
	last := zero
	f.begin(float64(300 * congestion.Kbps))
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s, ok := from.sample(now.Sub(last), latency)
			last = now
			if ok {
				f.tell(now, float64(rule.Update(now.Sub(zero), s)))
			}
		}
	}
}
