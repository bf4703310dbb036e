// Package clip is a small H.264 and AAC clip inside the binary, looped without a seam: what `fairlead demo` and the tests
// publish where no encoder is at hand. make.sh beside it made it from synthetic sources.
package clip

import (
	_ "embed"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/media"
)

//go:embed clip.flv
var file []byte

// The clip's shape; its length is a whole number of pictures and of audio frames.
const (
	Length      = 8 * time.Second
	FrameRate   = 30
	SampleRate  = 48000
	Pictures    = 240
	AudioFrames = 375
)

// Source gives the clip's frames over and over, in order of DTS, on one timeline that never jumps.
type Source struct {
	frames []*media.Frame // one round
	next   int
	round  time.Duration
}

// New reads the clip.
func New() (*Source, error) {
	var d flv.Demuxer
	var p flv.Parser
	if err := d.Write(file); err != nil {
		return nil, fmt.Errorf("clip: %w", err)
	}
	s := &Source{}
	var count [2]int
	for tag, ok := d.Next(); ok; tag, ok = d.Next() {
		f := p.Parse(tag.Type, tag.Time, tag.Body)
		if f == nil || count[f.Track] == [2]int{Pictures, AudioFrames}[f.Track] {
			continue
		}
		exact(f, count[f.Track])
		count[f.Track]++
		s.frames = append(s.frames, f)
	}
	if count != [2]int{Pictures, AudioFrames} {
		return nil, fmt.Errorf("clip: %d pictures and %d audio frames", count[0], count[1])
	}
	slices.SortStableFunc(s.frames, func(a, b *media.Frame) int { return int(a.DTS - b.DTS) })
	return s, nil
}

// exact undoes FLV's rounding to milliseconds: frame n of a track is n frame durations after its first.
func exact(f *media.Frame, n int) {
	if f.Codec.IsAudio() {
		f.DTS = time.Duration(n) * 1024 * time.Second / SampleRate
		f.PTS = f.DTS
		return
	}
	const picture = time.Second / FrameRate
	reorder := (f.PTS - f.DTS + picture/2) / picture
	f.DTS = time.Duration(n) * time.Second / FrameRate
	f.PTS = time.Duration(n+int(reorder)) * time.Second / FrameRate
}

// Next returns the next frame: a fresh value that shares the clip's payload.
func (s *Source) Next() *media.Frame {
	f := *s.frames[s.next]
	f.DTS += s.round
	f.PTS += s.round
	if s.next++; s.next == len(s.frames) {
		s.next = 0
		s.round += Length
	}
	return &f
}

// Configs returns the configurations of the video and the audio track.
func (s *Source) Configs() (video, audio *media.Config) {
	for _, f := range s.frames {
		if f.Codec.IsVideo() {
			video = f.Config
		} else {
			audio = f.Config
		}
	}
	return video, audio
}
