package ingest

import (
	"bytes"
	"iter"

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
	uplinkReasons // how many there are
)

var uplinkNames = [uplinkReasons]string{"no_config", "bad_config", "bad_track", "bad_codec", "empty"}

func (r UplinkDrop) String() string {
	if r < uplinkReasons {
		return uplinkNames[r]
	}
	return "unknown"
}

// maxUplinkTracks is how many tracks the hub takes.
const maxUplinkTracks = 8

// Uplink makes frames of what a session of transport/session delivers. It is owned by one goroutine; its memory is the
// configurations of eight tracks, the frames not yet taken, and that of an mpegts.Demuxer once MPEG-TS comes.
//
// Pictures may come as NAL units with 4-byte lengths or with start codes (ISO 14496-10 Annex B), with or without their
// parameter sets; a configuration as a record (avcC, hvcC) or as parameter sets with start codes.
type Uplink struct {
	configs [maxUplinkTracks]*media.Config
	inBand  [maxUplinkTracks]bool
	tracks  [maxUplinkTracks]wire.Track
	ts      *TS
	queue   []*media.Frame
	stats   UplinkStats
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

// Payload takes in the next payload; it borrows p. Drain Next afterwards.
func (u *Uplink) Payload(p *transport.Payload) {
	if p.Repaired {
		u.stats.Repaired++
	}
	switch {
	case p.Track >= maxUplinkTracks:
		u.stats.Drops[UplinkBadTrack]++
	case p.Flags.Has(transport.Config):
		u.inBand[p.Track] = u.configure(p.Track, p.Codec, p.Data) || u.inBand[p.Track]
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
	if len(u.queue) == 0 {
		return nil, false
	}
	f := u.queue[0]
	u.queue[0] = nil
	u.queue = u.queue[1:]
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
	if u.ts == nil {
		u.ts = NewTS(mpegts.Config{})
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
	f := &media.Frame{Track: p.Track, Codec: media.Codec(p.Codec), DTS: p.DTS, PTS: max(p.PTS, p.DTS), Arrival: p.Arrival}
	if p.Flags.Has(transport.Discontinuity) {
		f.Flags |= media.Discontinuity
	}
	switch f.Codec {
	case media.H264, media.H265:
		au := media.SplitAccessUnit(make([]byte, 0, len(p.Data)+16), f.Codec, nalUnits(p.Data))
		if len(au.SPS) > 0 {
			u.inBand[p.Track] = u.parameterSets(p.Track, f.Codec, &au) || u.inBand[p.Track]
		}
		f.Payload = au.Payload
		f.Flags |= au.Flags
		if !au.VCL {
			f.Payload = nil
		}
	default:
		f.Payload = bytes.Clone(p.Data)
		if f.Codec.IsAudio() || p.Flags.Has(transport.Key) {
			f.Flags |= media.Key
		}
		if p.Flags.Has(transport.Droppable) {
			f.Flags |= media.Droppable
		}
	}
	f.Config = u.configs[p.Track]
	switch {
	case len(f.Payload) == 0:
		u.stats.Drops[UplinkEmpty]++
	case f.Config == nil || f.Config.Codec != f.Codec:
		u.stats.Drops[UplinkNoConfig]++
	default:
		u.queue = append(u.queue, f)
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
	if c != nil && !c.Equal(u.configs[track]) {
		u.configs[track] = c
	}
	return c != nil
}

func (u *Uplink) parameterSets(track uint8, codec media.Codec, au *media.AccessUnit) bool {
	c, err := newConfig(codec, clones(au.VPS), clones(au.SPS), clones(au.PPS))
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
			au := media.SplitAccessUnit(nil, media.Codec(codec), nalUnits(bytes.Clone(b)))
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

// nalUnits yields the NAL units of an access unit with lengths or with start codes, as views.
func nalUnits(b []byte) iter.Seq[[]byte] {
	if media.ValidNALs(b) {
		return media.NALs(b)
	}
	return func(yield func([]byte) bool) {
		start := -1
		for i := 0; i+2 < len(b); {
			if b[i] != 0 || b[i+1] != 0 || b[i+2] != 1 {
				i++
				continue
			}
			if start >= 0 && !yield(bytes.TrimRight(b[start:i], "\x00")) {
				return
			}
			i += 3
			start = i
		}
		if start >= 0 {
			yield(bytes.TrimRight(b[start:], "\x00"))
		}
	}
}
