package mpegts

import (
	"errors"
	"fmt"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// ErrTrack is wrapped by NewMuxer's errors.
var ErrTrack = errors.New("mpegts: unusable track")

// Figures of what we write.
const (
	pmtPID   = 0x1000 // as of ffmpeg; any free PID does
	firstPID = 0x100  // of the first track, the others follow

	// psiEvery is how far apart PAT and PMT may be. With pictures at most 100 ms apart that stays
	// below 500 ms (ETSI TR 101 290 §5.2.1, indicators 1.3 and 1.5).
	psiEvery = 90000 * 400 / 1000
	// pcrEvery is for frames of other tracks: "interval between two consecutive PCR values more than 40 ms" is an error (ETSI TR 101 290 §5.2.2, 2.3b).
	pcrEvery = 90000 * 35 / 1000
	// pcrLead is how much the clock stays behind the DTS it comes with: what a receiver may buffer. Ours;
	// 100 ms hold a keyframe of 8 times the mean rate.
	pcrLead = 90000 * 100 / 1000
)

// MuxStats counts what a Muxer did.
type MuxStats struct {
	Frames  uint64 // written
	Dropped uint64 // not written: of no track, or with a payload or configuration that cannot be
	Packets uint64
}

// Muxer writes frames as a transport stream. It is owned by one goroutine.
//
// Every picture and by default every audio frame is one PES packet whose last packet, and no other, has
// stuffing, so that a receiver can deliver it at once (see Config.EarlyAfter). Memory: the largest
// picture's size.
type Muxer struct {
	tracks []muxTrack
	clock  int // index of the track whose PID carries the PCR

	patCC, pmtCC uint8
	pat, pmt     []byte // whole packets, continuity counters aside

	began   bool
	psiAt   int64   // ticks: DTS at the last PAT and PMT
	pcrAt   int64   // ticks: the last PCR
	pes     []byte  // the PES packet in the making
	field   [8]byte // the adaptation field in the making
	stats   MuxStats
	pending bool // PAT and PMT are due
}

type muxTrack struct {
	Track
	cc       uint8
	streamID byte
}

// NewMuxer makes a muxer. tracks: Index, unique, selects a frame's track; PID 0: one is chosen; Config is needed for
// Opus alone, whose channels stand in the PMT (nil: stereo). H264, H265, AAC, Opus and MP3 can be written.
func NewMuxer(tracks []Track) (*Muxer, error) {
	if len(tracks) == 0 || len(tracks) > maxStreams {
		return nil, fmt.Errorf("%w: %d tracks, want 1 to %d", ErrTrack, len(tracks), maxStreams)
	}
	m := &Muxer{pending: true, clock: -1}
	for i, t := range tracks {
		if t.PID == 0 {
			t.PID = firstPID + uint16(i)
		}
		mt := muxTrack{Track: t}
		switch {
		case t.Codec == media.H264 || t.Codec == media.H265:
			mt.streamID = 0xe0 // table 2-22: video stream 0
			if m.clock < 0 {
				m.clock = i
			}
		case t.Codec == media.AAC || t.Codec == media.MP3:
			mt.streamID = 0xc0 // audio stream 0
		case t.Codec == media.Opus:
			mt.streamID = 0xbd // private_stream_1
		default:
			return nil, fmt.Errorf("%w: %v", ErrTrack, t.Codec)
		}
		if t.PID < pidFirst || t.PID == pmtPID || t.PID >= pidNull {
			return nil, fmt.Errorf("%w: PID %#x", ErrTrack, t.PID)
		}
		for _, o := range m.tracks {
			if o.Index == t.Index || o.PID == t.PID {
				return nil, fmt.Errorf("%w: index %d or PID %#x twice", ErrTrack, t.Index, t.PID)
			}
		}
		m.tracks = append(m.tracks, mt)
	}
	m.clock = max(m.clock, 0)
	m.makeTables()
	return m, nil
}

// Stats returns a snapshot of the counters.
func (m *Muxer) Stats() MuxStats { return m.stats }

// Restart makes the next frame start with PAT and PMT, for a reader that joins there.
func (m *Muxer) Restart() { m.pending = true }

// AppendFrame appends the packets of one frame, 188 bytes each, to dst. Borrows f. A frame that cannot be
// written appends nothing and is counted.
//
// PAT and PMT come before every keyframe of the video and at least every 500 ms. The PCR comes with every picture (of
// the first video track, else with every frame of the first track), and in a packet of its own with another
// track's frame when the last one is 35 ms old. Frames come roughly in the order of their DTS.
func (m *Muxer) AppendFrame(dst []byte, f *media.Frame) []byte {
	i := m.find(f)
	if i < 0 {
		m.stats.Dropped++
		return dst
	}
	t := &m.tracks[i]
	dts, pts := media.Ticks(f.DTS), media.Ticks(f.PTS)
	if !m.makePES(t, f, dts, pts) {
		m.stats.Dropped++
		return dst
	}
	m.stats.Frames++
	before := len(dst)
	if m.pending || f.IsKeyVideo() || abs(dts-m.psiAt) >= psiEvery {
		dst = m.appendTables(dst)
		m.psiAt, m.pending = dts, false
	}
	pcr := dts - pcrLead
	// The clock must not go back; where frames do by more than a second the timeline broke, and the packet says so.
	jump := m.began && (pcr < m.pcrAt-90000 || pcr > m.pcrAt+10*90000)
	due := !m.began || jump || pcr > m.pcrAt && (i == m.clock || pcr-m.pcrAt >= pcrEvery)
	if due {
		m.began, m.pcrAt = true, pcr
		if i != m.clock {
			c := &m.tracks[m.clock]
			// "The continuity_counter shall not be incremented when the adaptation_field_control equals '10'."
			dst = appendPacket(dst, c.PID, (c.cc-1)&15, false, appendField(m.field[:0], &pcr, jump, false), nil)
			due = false
		}
	}
	field := m.field[:0]
	switch {
	case due:
		field = appendField(field, &pcr, jump, f.IsKeyVideo())
	case f.IsKeyVideo():
		field = appendField(field, nil, false, true)
	}
	m.seal(len(field), f.Codec.IsVideo())
	dst = m.appendPackets(dst, t, field)
	m.stats.Packets += uint64(len(dst)-before) / PacketSize
	return dst
}

func (m *Muxer) find(f *media.Frame) int {
	for i := range m.tracks {
		if m.tracks[i].Index == f.Track && m.tracks[i].Codec == f.Codec {
			return i
		}
	}
	return -1
}

// TracksOfConfigs makes the list for NewMuxer of a stream's configurations, by track index.
func TracksOfConfigs(configs []*media.Config) []Track {
	var out []Track
	for i, c := range configs {
		if c != nil {
			out = append(out, Track{Index: uint8(i), Codec: c.Codec, Config: c})
		}
	}
	return out
}

// TracksOf makes the list for NewMuxer of the tracks of frames seen so far, first frame first.
func TracksOf(frames ...*media.Frame) []Track {
	var out []Track
	for _, f := range frames {
		known := false
		for _, t := range out {
			known = known || t.Index == f.Track
		}
		if !known {
			out = append(out, Track{Index: f.Track, Codec: f.Codec, Config: f.Config})
		}
	}
	return out
}
