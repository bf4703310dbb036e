// Package uplink is for apps: it sends live video and sound to a fairlead relay over a bad network (docs/uplink.md).
//
//	up, err := uplink.Dial("fairlead://relay.example/live/cam?token=…&latency=500ms", nil)
//	video, err := up.AddVideo(uplink.H264, 1280, 720, config)
//	audio, err := up.AddAudio(uplink.AAC, 48000, 2, audioConfig)
//	err = up.WriteFrame(video, pts, dts, uplink.FlagKey, picture)
//
// Everything exported can be bound by gomobile: signed integers, strings, byte slices, errors, and pointers to types of
// this package. Times are in microseconds, rates in bits per second. Flags and codecs are those of docs/wire.md.
//
// Pictures are NAL units with start codes or with 4-byte lengths, as the platform's encoder gives them; a configuration is an
// avcC, hvcC or av1C record, parameter sets with start codes, an AudioSpecificConfig or an OpusHead.
//
// Where only QUIC passes, media moves into it by itself. Where no UDP passes at all, an app may give its own client of another
// protocol, RTMPS as a rule (Options.Fallback): it gets the frames until the relay answers over UDP again.
//
// What it leaves to others: the encoder; any protocol but fairlead's own; the protocol (transport/quiclink, transport/session).
package uplink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/quiclink"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// Codecs.
const (
	H264 = 1
	H265 = 2
	AV1  = 3
	AAC  = 4
	Opus = 5
	MP3  = 6
)

// Flags of a frame.
const (
	FlagKey       = 1 // decoding can start here
	FlagDroppable = 2 // no other frame refers to this one
)

// States.
const (
	StateConnecting   = 0
	StateConnected    = 1
	StateReconnecting = 2 // frames are dropped until it is connected again
	StateClosed       = 3
	StateFallback     = 4 // no UDP passes: frames go to Options.Fallback
)

// Events is what an app may want to hear. The methods are called from one goroutine and must not wait.
type Events interface {
	// OnTargetBitrate: what the encoders may make now, all tracks together; down at once, up at most every 500 ms, and repeated
	// every 200 ms. reason is what the controller does: startup, track, hold, probe, compete, outage, limited (docs/push.md).
	OnTargetBitrate(bitsPerSecond int64, reason string)
	// OnKeyFrameRequest: make a key frame of that track soon.
	OnKeyFrameRequest(track int)
	// OnState: reason is empty when all is well.
	OnState(state int, reason string)
}

// Options of Dial. The zero value serves.
type Options struct {
	Agent            string   // the app's name and version, for the relay's log
	ConnectTimeoutMS int      // 6000
	MaxBitrate       int64    // of all media, bits per second; sizes the buffers; 20,000,000
	Events           Events   // may be nil
	Fallback         Fallback // may be nil: the uplink goes on looking for its relay over UDP

	patience, probeEvery time.Duration // of the fallback; tests
}

func (o *Options) timeout() time.Duration {
	return time.Duration(o.ConnectTimeoutMS) * time.Millisecond
}

// Uplink is one stream on its way to a relay. Its methods may be called from anywhere.
type Uplink struct {
	target  quiclink.Target
	options Options
	cancel  context.CancelFunc
	done    chan struct{}

	mu       sync.Mutex       // guards what follows
	client   *quiclink.Client // nil: there is none now
	fallback Fallback         // takes the frames; nil: the client does
	before   Stats            // of earlier clients
	tracks   []wire.Track
	closed   bool
	leaving  bool // the client, for the fallback
	err      error
}

// ErrTrack: there is no track of that number.
var ErrTrack error = errors.New("uplink: no such track")

// Dial connects to the relay a URL names (docs/push.md lists its parameters), and comes back when the connection is lost,
// until Close. It takes ConnectTimeoutMS at most, whatever the network does: no context, for gomobile has none. options may be nil.
func Dial(url string, options *Options) (*Uplink, error) {
	o := Options{}
	if options != nil {
		o = *options
	}
	target, err := quiclink.ParseURL(url)
	if err != nil {
		return nil, err
	}
	if o.MaxBitrate > 0 {
		target.MaxRate = congestion.Bitrate(o.MaxBitrate)
	}
	if o.Agent == "" {
		o.Agent = "fairlead uplink"
	}
	if o.ConnectTimeoutMS <= 0 {
		o.ConnectTimeoutMS = 6000
	}
	o.patience, o.probeEvery = cmp.Or(o.patience, patience), cmp.Or(o.probeEvery, probeEvery)
	u := &Uplink{target: target, options: o, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	u.client, err = u.dial(ctx)
	if err != nil && (o.Fallback == nil || refused(err)) {
		cancel()
		return nil, err
	}
	u.cancel = cancel
	go u.run(ctx, err) // ends by Close, or when the relay wants no more of us; Close waits for it
	return u, nil
}

func (u *Uplink) dial(ctx context.Context) (*quiclink.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, u.options.timeout())
	defer cancel()
	c, err := quiclink.DialTarget(ctx, u.target, u.dialConfig())
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("uplink: %s: no answer within %v: %w", u.target.Addr, u.options.timeout(), err)
	}
	return c, err
}

func (u *Uplink) dialConfig() quiclink.DialConfig {
	o := &u.options
	cfg := quiclink.DialConfig{Agent: o.Agent}
	if e := o.Events; e != nil {
		cfg.OnTarget = func(rate congestion.Bitrate, why congestion.Reason) { e.OnTargetBitrate(int64(rate), why.String()) }
		cfg.OnKeyframe = func(track uint8) { e.OnKeyFrameRequest(int(track)) }
		cfg.OnState = func(s quiclink.State, err error) {
			reason := ""
			if err != nil {
				reason = err.Error()
			}
			u.mu.Lock()
			silent := u.leaving && s == quiclink.Closed // only this client is
			u.mu.Unlock()
			if !silent {
				e.OnState(int(s), reason)
			}
		}
	}
	return cfg
}

// AddVideo adds a video track and returns its number. config may be nil where the pictures hold their parameter sets.
func (u *Uplink) AddVideo(codec, width, height int, config []byte) (int, error) {
	if codec < H264 || codec > AV1 {
		return 0, fmt.Errorf("uplink: codec %d is no video codec", codec)
	}
	return u.add(wire.Track{Codec: uint8(codec), Width: uint16(width), Height: uint16(height), Config: slices.Clone(config)})
}

// AddAudio adds a track of sound and returns its number. config may be nil with Opus and MP3.
func (u *Uplink) AddAudio(codec, sampleRate, channels int, config []byte) (int, error) {
	if codec < AAC || codec > MP3 {
		return 0, fmt.Errorf("uplink: codec %d is no audio codec", codec)
	}
	return u.add(wire.Track{Codec: uint8(codec), Rate: uint32(sampleRate), Channels: uint8(channels), Config: slices.Clone(config)})
}

// maxTracks is what a relay takes.
const maxTracks = 8

func (u *Uplink) add(t wire.Track) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.tracks) == maxTracks {
		return 0, fmt.Errorf("uplink: more than %d tracks", maxTracks)
	}
	t.ID = uint8(len(u.tracks))
	u.tracks = append(u.tracks, t)
	if u.client != nil {
		u.client.SetTracks(u.tracks)
	}
	return int(t.ID), nil
}

// SetConfig changes a track's configuration, from its next key frame on.
func (u *Uplink) SetConfig(track int, config []byte) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if track < 0 || track >= len(u.tracks) {
		return fmt.Errorf("%w: %d", ErrTrack, track)
	}
	u.tracks[track].Config = slices.Clone(config)
	if u.client != nil {
		u.client.SetTracks(u.tracks)
	}
	return nil
}

// WriteFrame sends one picture or one unit of sound. Times are in microseconds on the app's own clock, which all tracks
// share. It copies data and does not wait. An error says that the frame was dropped: there is no connection now, the
// path carries less than the encoder makes, or Close was called (transport.ErrClosed, "session closed").
func (u *Uplink) WriteFrame(track int, ptsMicros, dtsMicros int64, flags int, data []byte) error {
	u.mu.Lock()
	if track < 0 || track >= len(u.tracks) {
		u.mu.Unlock()
		return fmt.Errorf("%w: %d", ErrTrack, track)
	}
	codec := transport.Codec(u.tracks[track].Codec)
	client, fallback, closed := u.client, u.fallback, u.closed
	if client == nil && fallback == nil && !closed {
		u.before.FramesDropped++
	}
	u.mu.Unlock()
	switch {
	case closed:
		return transport.ErrClosed
	case fallback != nil:
		return fallback.WriteFrame(track, ptsMicros, dtsMicros, flags, data)
	case client == nil:
		return quiclink.ErrReconnecting
	}
	f := transport.Frame{
		Track: uint8(track), Codec: codec, Data: data,
		PTS: time.Duration(ptsMicros) * time.Microsecond, DTS: time.Duration(dtsMicros) * time.Microsecond,
	}
	if flags&FlagKey != 0 && !codec.IsAudio() {
		f.Flags |= transport.Key
	}
	if flags&FlagDroppable != 0 {
		f.Flags |= transport.Droppable
	}
	return client.WriteFrame(&f)
}

// Handover moves the stream to the network the system sends through now, without losing a frame: to be called when the
// phone has a new default network. It waits until the new path is validated, at most five seconds.
func (u *Uplink) Handover() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if c := u.now(); c != nil {
		return c.Handover(ctx)
	}
	return quiclink.ErrReconnecting
}

// Stats is a snapshot of an Uplink. Counters are since Dial.
type Stats struct {
	State            int
	RTTMicros        int64
	TargetBitrate    int64 // bits per second
	BytesSent        int64
	Packets          int64 // each counted once
	Resends          int64 // packets sent again
	Repairs          int64 // forward error correction packets sent
	Recovered        int64 // packets lost and in time all the same; this and the next two as of the relay's last report
	Late             int64
	Lost             int64
	FramesSent       int64
	FramesDelivered  int64
	FramesLost       int64
	FramesDropped    int64 // here: no connection, or no room
	Reconnects       int
	InsideQUIC       bool // media travels in QUIC DATAGRAM frames, because the network passes nothing else
	LatencyMS        int  // granted by the relay
	SendErrors       int64
	ReceiverReported bool // the relay has reported at least once
}

// Stats returns a snapshot, at most 200 ms old. What Options.Fallback carries is not in it.
func (u *Uplink) Stats() *Stats {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.sum()
}

// sum is the statistics of all clients; the lock is held.
func (u *Uplink) sum() *Stats {
	b := u.before
	if u.client == nil {
		return &b
	}
	s := u.client.Stats()
	return &Stats{
		State: int(s.State), RTTMicros: s.RTT.Microseconds(), TargetBitrate: int64(s.Target), BytesSent: b.BytesSent + int64(s.Sender.BytesSent),
		Packets: b.Packets + int64(s.Sender.Sent), Resends: b.Resends + int64(s.Sender.Resends), Repairs: b.Repairs + int64(s.Sender.Repairs),
		Recovered: b.Recovered + int64(s.Relay.Recovered), Late: b.Late + int64(s.Relay.Late), Lost: b.Lost + int64(s.Relay.Lost),
		FramesSent: b.FramesSent + int64(s.Sender.FramesSent), FramesDelivered: b.FramesDelivered + int64(s.Relay.FramesDelivered),
		FramesLost: b.FramesLost + int64(s.Relay.FramesLost), FramesDropped: b.FramesDropped + int64(s.Unsent),
		Reconnects: b.Reconnects + s.Reconnects, InsideQUIC: s.Carriage == quiclink.Datagram, LatencyMS: int(s.Latency.Milliseconds()),
		SendErrors: b.SendErrors + int64(s.SendErrors), ReceiverReported: b.ReceiverReported || s.Relay.BytesReceived > 0,
	}
}

// Close ends the stream: what has been written is still sent and repaired. It waits for that, about one latency, and
// returns why the stream ended if not by Close. It may be called twice.
func (u *Uplink) Close() error {
	u.cancel()
	<-u.done
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}
