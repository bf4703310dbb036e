package watch

import (
	"bytes"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// Monitor scores a stream whose source is not known: the first video track and the first audio track by themselves.
// It is owned by one goroutine. It keeps a copy of the newest picture, to know a repeated one.
type Monitor struct {
	zero         time.Time // of the meters' clock
	video, audio *stutter.Meter
	videoTrack   uint8
	audioTrack   uint8
	previous     []byte
	codec        media.Codec // of the video
	width        int
	height       int
}

// NewMonitor makes a monitor; buffers nil: stutter.DefaultBuffers.
func NewMonitor(zero time.Time, buffers []time.Duration) *Monitor {
	return &Monitor{
		zero:  zero,
		video: stutter.NewMeter(stutter.Config{Buffers: buffers}),
		audio: stutter.NewMeter(stutter.Config{Buffers: buffers}),
	}
}

// Observe takes a frame with its Arrival. It borrows the frame.
func (m *Monitor) Observe(f *media.Frame) {
	at := f.Arrival.Sub(m.zero)
	switch {
	case f.Codec.IsVideo():
		if m.codec == media.CodecNone {
			m.videoTrack, m.codec = f.Track, f.Codec
		}
		if f.Track != m.videoTrack {
			return
		}
		if f.Config != nil {
			m.width, m.height = f.Config.Width, f.Config.Height
		}
		s := FrameOf(f)
		s.Held = len(f.Payload) > 0 && bytes.Equal(f.Payload, m.previous)
		m.previous = append(m.previous[:0], f.Payload...)
		m.video.Observe(s, at)
	case f.Codec.IsAudio():
		if m.audioTrack == 0 {
			m.audioTrack = f.Track + 1
		}
		if f.Track+1 == m.audioTrack {
			m.audio.Observe(FrameOf(f), at)
		}
	}
}

// FrameOf is what the player needs to know of a frame.
func FrameOf(f *media.Frame) stutter.Frame {
	return stutter.Frame{
		Seq: -1, DTS: f.DTS, Size: len(f.Payload),
		Key:           f.Flags.Has(media.Key) || f.Codec.IsAudio(),
		Droppable:     f.Flags.Has(media.Droppable),
		Discontinuity: f.Flags.Has(media.Discontinuity),
	}
}

// Report is what a monitor knows at one time. Picture is the zero Summary for a stream without video.
type Report struct {
	Video  string          `json:"video,omitempty"` // codec and size
	Score  stutter.Summary `json:"score"`           // of the video, or of the audio where there is no video
	Sound  int64           `json:"audio_frames"`
	Silent int64           `json:"audio_frames_missing"`
}

// Report scores what has come until now.
func (m *Monitor) Report(now time.Time) Report {
	end := now.Sub(m.zero)
	audio := m.audio.Score(end)
	r := Report{Sound: audio.Frames, Silent: audio.Missing}
	if m.codec == media.CodecNone {
		if r.Score = audio.Summary(); audio.Frames == 0 {
			r.Score.Seconds = end.Seconds() // waited so far
		}
		return r
	}
	video := m.video.Score(end)
	r.Video, r.Score = m.describe(), video.Summary()
	return r
}
