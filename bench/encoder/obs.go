// Package encoder holds rules by which encoders of the field change their bitrate, as their sources state them: what a test or a bench
// puts in the place of the real program.
//
// What it leaves to others: sockets, clocks, and the pictures.
package encoder

import "time"

// OBS is the dynamic bitrate of OBS Studio's RTMP output (plugins/obs-outputs/rtmp-stream.c, version of August 2026): once 200 ms
// of pictures wait to be sent, the bitrate becomes what was sent over the last 1 to 2 s, sound taken off and cut to 100 kbit/s; 4 s after
// the last change it grows by a tenth of the original. Nothing is dropped meanwhile. It is owned by one goroutine, or under its
// caller's lock.
type OBS struct {
	original, current, previous int // kbit/s
	audio                       int
	estimate                    int // kbit/s; 0: not known
	growAt                      time.Duration
	frames                      []obsFrame
	bytes                       int
}

type obsFrame struct {
	begin, end time.Duration
	size       int
}

// Constants of rtmp-stream.c: DBR_INC_TIMER, DBR_TRIGGER_USEC, MIN_ESTIMATE_DURATION_MS, MAX_ESTIMATE_DURATION_MS, and what is written there as numbers.
const (
	obsGrow    = 4 * time.Second
	obsTrigger = 200 * time.Millisecond
	obsLeast   = time.Second
	obsMost    = 2 * time.Second
	obsPackets = 5  // fewer in the queue are no queue
	obsFloor   = 50 // kbit/s
	obsStep    = 100
)

// NewOBS begins at a bitrate of pictures, with a bitrate of sound; kbit/s.
func NewOBS(video, audio int) *OBS { return &OBS{original: video, current: video, audio: audio} }

// Bitrate of the pictures now, kbit/s.
func (o *OBS) Bitrate() int { return o.current }

// Sent is told of each packet that the socket has taken: when the first and the last byte went (dbr_add_frame).
func (o *OBS) Sent(begin, end time.Duration, size int) {
	o.frames = append(o.frames, obsFrame{begin, end, size})
	front := o.frames[0]
	o.bytes += size
	d := (end - front.begin) / time.Millisecond * time.Millisecond
	if d >= obsMost {
		o.bytes -= front.size
		o.frames = o.frames[1:]
	}
	if o.estimate = 0; d >= obsLeast {
		o.estimate = int(int64(o.bytes)*1000/d.Milliseconds()) * 8 / 1000
	}
	if o.estimate > 0 {
		o.estimate = max(obsFloor, o.estimate-o.audio)
	}
}

// Video is told of each picture before it is queued: how many packets wait, and the time from the first picture among them that is no
// key frame to the newest; have: there is such a picture (check_to_drop_frames). It returns the bitrate from now on.
func (o *OBS) Video(now time.Duration, packets int, waits time.Duration, have bool) int {
	if o.growAt > 0 && now >= o.growAt {
		o.growAt = 0
		o.previous = o.current
		if o.current += o.original / 10; o.current >= o.original {
			o.current = o.original
		} else {
			o.growAt = now + obsGrow
		}
	}
	if packets >= obsPackets && have && waits >= obsTrigger {
		o.lower(now)
	}
	return o.current
}

// lower is dbr_bitrate_lowered.
func (o *OBS) lower(now time.Duration) {
	to := o.previous // back to before it grew, where nothing is known
	if o.estimate > 0 && o.estimate < o.current {
		to = max(obsFloor, o.estimate/obsStep*obsStep)
		o.frames, o.bytes = nil, 0
	}
	if to == 0 || to == o.current {
		return
	}
	o.previous, o.current = 0, to
	o.growAt = now + obsGrow
}
