package ingest

import (
	"bytes"
	"slices"

	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// UplinkDrop says why a payload of the uplink did not become a frame.
type UplinkDrop uint8

// Reasons.
const (
	UplinkNoConfig UplinkDrop = iota // its track's configuration has not come, or could not be read
	UplinkBadConfig
	UplinkBadTrack // a track beyond the eighth
	UplinkBadCodec
	UplinkEmpty   // no picture and no sound in it
	UplinkBadTS   // passed through, and not whole MPEG-TS packets
	uplinkReasons // how many there are
)

var uplinkNames = [uplinkReasons]string{"no_config", "bad_config", "bad_track", "bad_codec", "empty", "bad_ts"}

func (r UplinkDrop) String() string {
	if r < uplinkReasons {
		return uplinkNames[r]
	}
	return "unknown"
}

const (
	// maxUplinkTracks is how many tracks the hub takes.
	maxUplinkTracks = 8
	// maxRaw bounds the configurations that are compared byte by byte; larger ones are read each time. Ours: records have less than 1 kB.
	maxRaw = 4 << 10
)

// Uplink makes frames of what a session of transport/session delivers. It is owned by one goroutine; its memory is the
// configurations of eight tracks, the frames not yet taken, and that of an mpegts.Demuxer once MPEG-TS comes.
//
// Pictures may come as NAL units with 4-byte lengths or with start codes (ISO 14496-10 Annex B), with or without their
// parameter sets; a configuration as a record (avcC, hvcC) or as parameter sets with start codes.
type Uplink struct {
	// Memory is what frames lie in; it is the Uplink's until its owner closes it. nil: the garbage collector's.
	Memory *media.Arena

	configs [maxUplinkTracks]*media.Config
	inBand  [maxUplinkTracks]bool
	raw     [maxUplinkTracks][]byte // what configs was made from in band, when it was one payload
	tracks  [maxUplinkTracks]wire.Track
	ts      *TS
	queue   []*media.Frame // from head on
	head    int
	nals    [][]byte // scratch: of a picture
	keep    [][]byte // scratch: those of them that the frame has
	au      media.AccessUnit
	piece   TSPiece
	stats   UplinkStats
}

// TSPiece is a run of whole packets of a transport stream that is passed through; Data is nil where there is none.
type TSPiece struct {
	Data   []byte // the payload's
	Tables bool   // begins with a PAT
	Key    bool   // a picture that can be decoded without others begins in it
}

// UplinkStats is a snapshot. All counts are since the start.
type UplinkStats struct {
	VideoFrames, AudioFrames uint64 // handed over by Next
	Bytes                    uint64 // of their payloads
	Repaired                 uint64 // payloads that needed a resend or a repair
	Drops                    [uplinkReasons]uint64
}

// UplinkDrops lists every reason.
func UplinkDrops() (all []UplinkDrop) {
	for r := range uplinkReasons {
		all = append(all, r)
	}
	return all
}

// Stats returns a snapshot.
func (u *Uplink) Stats() UplinkStats { return u.stats }

// Tracks is told what the control stream says of the tracks. The configuration that travels in band is the newer one for
// the frames behind it, so what comes here serves only where none came in band yet.
func (u *Uplink) Tracks(tracks []wire.Track) {
	for _, t := range tracks {
		if t.ID >= maxUplinkTracks {
			continue
		}
		u.tracks[t.ID] = t
		if !u.inBand[t.ID] {
			u.configure(t.ID, transport.Codec(t.Codec), t.Config)
		}
	}
}

// TS returns what the last payload held of a transport stream that is to be passed through as it is; Next gives the frames in it.
func (u *Uplink) TS() TSPiece { return u.piece }

// Payload takes in the next payload; it borrows p. Use TS and drain Next afterwards.
func (u *Uplink) Payload(p *transport.Payload) {
	u.piece = TSPiece{}
	if p.Repaired {
		u.stats.Repaired++
	}
	switch {
	case p.Track >= maxUplinkTracks:
		u.stats.Drops[UplinkBadTrack]++
	case p.Flags.Has(transport.Config):
		u.config(p)
	case p.Codec == transport.Passthrough:
		u.passthrough(p)
	case p.Codec == transport.CodecNone || p.Codec > transport.MP3:
		u.stats.Drops[UplinkBadCodec]++
	default:
		u.frame(p)
	}
}

// Next hands over the next frame; false: there is none until the next Payload.
func (u *Uplink) Next() (*media.Frame, bool) {
	if u.head == len(u.queue) {
		return nil, false
	}
	f := u.queue[u.head]
	u.queue[u.head] = nil
	if u.head++; u.head == len(u.queue) {
		u.queue, u.head = u.queue[:0], 0
	}
	if f.Codec.IsVideo() {
		u.stats.VideoFrames++
	} else {
		u.stats.AudioFrames++
	}
	u.stats.Bytes += uint64(len(f.Payload))
	return f, true
}

// Flush ends the stream.
func (u *Uplink) Flush() {
	if u.ts != nil {
		u.ts.Flush()
		u.drainTS()
	}
}

func (u *Uplink) passthrough(p *transport.Payload) {
	tables, key, ok := mpegts.Marks(p.Data)
	if !ok {
		u.stats.Drops[UplinkBadTS]++
		return
	}
	u.piece = TSPiece{p.Data, tables, key}
	if u.ts == nil {
		u.ts = NewTS(mpegts.Config{Memory: u.Memory})
	}
	u.ts.Write(p.Arrival, p.Data)
	u.drainTS()
}

func (u *Uplink) drainTS() {
	for f, ok := u.ts.Next(); ok; f, ok = u.ts.Next() {
		u.queue = append(u.queue, f)
	}
}

func (u *Uplink) frame(p *transport.Payload) {
	codec := media.Codec(p.Codec)
	var flags media.Flags
	var empty bool
	if codec == media.H264 || codec == media.H265 {
		u.picture(codec, p.Data)
		if len(u.au.SPS) > 0 {
			u.inBand[p.Track] = u.parameterSets(p.Track, codec) || u.inBand[p.Track]
		}
		flags, empty = u.au.Flags, !u.au.VCL
	} else {
		u.keep = u.keep[:0]
		empty = len(p.Data) == 0
		if codec.IsAudio() || p.Flags.Has(transport.Key) {
			flags |= media.Key
		}
		if p.Flags.Has(transport.Droppable) {
			flags |= media.Droppable
		}
	}
	if p.Flags.Has(transport.Discontinuity) {
		flags |= media.Discontinuity
	}
	config := u.configs[p.Track]
	switch {
	case empty:
		u.stats.Drops[UplinkEmpty]++
		return
	case config == nil || config.Codec != codec:
		u.stats.Drops[UplinkNoConfig]++
		return
	}
	f := u.Memory.Frame(u.payload(p.Data))
	f.Track, f.Codec, f.Flags, f.Config = p.Track, codec, flags, config
	f.DTS, f.PTS, f.Arrival = p.DTS, max(p.PTS, p.DTS), p.Arrival
	u.queue = append(u.queue, f)
}

// picture takes a picture apart into au, and the NAL units that its frame has into keep.
func (u *Uplink) picture(codec media.Codec, b []byte) {
	u.nals, u.keep = appendNALUnits(u.nals[:0], b), u.keep[:0]
	u.au.Reset()
	for _, n := range u.nals {
		if u.au.Add(codec, n) {
			u.keep = append(u.keep, n)
		}
	}
	u.au.End()
}

// payload makes a frame's of what is kept, or of b as it is when that is no picture of NAL units.
func (u *Uplink) payload(b []byte) []byte {
	if len(u.keep) == 0 {
		return append(u.Memory.Buffer(len(b)), b...)
	}
	size := 0
	for _, n := range u.keep {
		size += 4 + len(n)
	}
	out := u.Memory.Buffer(size)
	for _, n := range u.keep {
		out = media.AppendNAL(out, n)
	}
	return out
}

// config takes a configuration that travels in band. It is repeated with every key frame.
func (u *Uplink) config(p *transport.Payload) {
	c := u.configs[p.Track]
	if c != nil && c.Codec == media.Codec(p.Codec) && len(p.Data) > 0 && bytes.Equal(p.Data, u.raw[p.Track]) {
		return
	}
	if u.configure(p.Track, p.Codec, p.Data) {
		if u.inBand[p.Track] = true; len(p.Data) <= maxRaw {
			u.raw[p.Track] = bytes.Clone(p.Data)
		}
	}
}

// configure reads a configuration. An equal one changes nothing, so that the pointer in the frames stays.
func (u *Uplink) configure(track uint8, codec transport.Codec, b []byte) bool {
	c, err := parseConfig(codec, b, &u.tracks[track])
	if err != nil {
		u.stats.Drops[UplinkBadConfig]++
		return false
	}
	return u.set(track, c)
}

func (u *Uplink) set(track uint8, c *media.Config) bool {
	u.raw[track] = nil
	if c != nil && !c.Equal(u.configs[track]) {
		u.configs[track] = c
	}
	return c != nil
}

// parameterSets takes those of the picture in au.
func (u *Uplink) parameterSets(track uint8, codec media.Codec) bool {
	if c := u.configs[track]; c != nil && c.Codec == codec && sameSets(c.VPS, u.au.VPS) && sameSets(c.SPS, u.au.SPS) && sameSets(c.PPS, u.au.PPS) {
		return true
	}
	c, err := newConfig(codec, clones(u.au.VPS), clones(u.au.SPS), clones(u.au.PPS))
	if err != nil {
		u.stats.Drops[UplinkBadConfig]++
		return false
	}
	return u.set(track, c)
}

// parseConfig reads one; nil without an error: there is none yet, and the codec needs one.
func parseConfig(codec transport.Codec, b []byte, t *wire.Track) (c *media.Config, err error) {
	switch codec {
	case transport.H264, transport.H265:
		if len(b) == 0 {
			return nil, nil
		}
		if b[0] != 1 { // not a record (configurationVersion 1), so parameter sets
			au := media.SplitAccessUnit(nil, media.Codec(codec), slices.Values(appendNALUnits(nil, bytes.Clone(b))))
			return newConfig(media.Codec(codec), au.VPS, au.SPS, au.PPS)
		}
		if codec == transport.H264 {
			c, _, err = media.ParseAVCRecord(b)
		} else {
			c, _, err = media.ParseHEVCRecord(b)
		}
		return c, err
	case transport.AV1:
		if len(b) == 0 {
			return nil, nil
		}
		return media.ParseAV1Record(b)
	case transport.AAC:
		if len(b) == 0 {
			return nil, nil
		}
		return media.NewAACConfig(bytes.Clone(b))
	case transport.Opus: // OpusHead, RFC 7845 §5.1: magic (8), version (1), channels (1)
		channels := int(t.Channels)
		if len(b) >= 10 && string(b[:8]) == "OpusHead" {
			channels = int(b[9])
		}
		return media.NewOpusConfig(max(1, channels))
	case transport.MP3:
		return media.NewMP3Config(int(t.Rate), int(t.Channels))
	}
	return nil, nil
}

func newConfig(codec media.Codec, vps, sps, pps [][]byte) (*media.Config, error) {
	if codec == media.H264 {
		return media.NewH264Config(sps, pps)
	}
	return media.NewH265Config(vps, sps, pps)
}

func clones(in [][]byte) [][]byte {
	out := make([][]byte, len(in))
	for i, b := range in {
		out[i] = bytes.Clone(b)
	}
	return out
}

func sameSets(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

var startCode = []byte{0, 0, 1}

// appendNALUnits appends the NAL units of an access unit with lengths or with start codes, as views.
func appendNALUnits(dst [][]byte, b []byte) [][]byte {
	if media.ValidNALs(b) {
		for n := range media.NALs(b) {
			dst = append(dst, n)
		}
		return dst
	}
	i := bytes.Index(b, startCode)
	for i >= 0 {
		b = b[i+3:]
		n := b
		if i = bytes.Index(b, startCode); i >= 0 {
			n = b[:i]
		}
		dst = append(dst, bytes.TrimRight(n, "\x00"))
	}
	return dst
}
