package mpegts

import (
	"fmt"
	"slices"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// maxTracks: indices 0 and 1 are kept for the first video and audio, the others follow.
const maxTracks = maxStreams + 2

// program is the one that is followed.
type program struct {
	chosen  bool
	number  uint16
	section int    // of the PAT, that names it
	pid     uint16 // of its PMT
}

// track is what belongs to a Frame.Track whatever PID carries it.
type track struct {
	used    bool
	codec   media.Codec
	config  *media.Config
	pending media.Config // of video: parameter sets of a configuration that is not whole yet
	key     uint64       // of audio: the header fields the configuration was made from
	last    int64        // DTS of the last frame, 90 kHz
	step    int64        // from the one before to it
	frames  uint64
}

// Stream types of ISO 13818-1 table 2-34, and "private data", where a registration descriptor decides.
const (
	typeMPEG1Audio = 0x03
	typeMPEG2Audio = 0x04
	typePrivate    = 0x06
	typeADTS       = 0x0f
	typeLATM       = 0x11
	typeH264       = 0x1b
	typeH265       = 0x24
)

// entry is one elementary stream of a PMT.
type entry struct {
	pid      uint16
	codec    media.Codec
	latm     bool
	channels int // Opus
}

// setPAT chooses the program from the programs of one section of the PAT.
func (d *Demuxer) setPAT(b []byte, number int) {
	p := program{section: number}
	d.stats.Programs = 0
	for ; len(b) >= 4; b = b[4:] {
		num, pid := uint16(b[0])<<8|uint16(b[1]), uint16(b[2]&0x1f)<<8|uint16(b[3])
		if num == 0 || pid < pidFirst || pid == pidNull { // 0: network_PID
			continue
		}
		d.stats.Programs++
		if d.cfg.Program != 0 && num != d.cfg.Program {
			continue
		}
		if !p.chosen || d.program.chosen && num == d.program.number { // the first, or better the one we follow
			p.chosen, p.number, p.pid = true, num, pid
		}
	}
	old := d.program
	switch {
	case !p.chosen || p == old:
		return
	case old.chosen && p.number != old.number && p.section != old.section:
		return // ours is in another section
	}
	if old.chosen {
		d.slots[old.pid] = slotNone
	}
	d.program = p
	d.pmt.reset()
	for i, s := range d.streams {
		if s != nil && s.pid == p.pid { // the map moves to where a stream was
			d.end(s, endStream)
			d.release(i)
		}
	}
	d.slots[p.pid] = slotPMT
}

// setPMT makes the set of followed streams what the sections of the PMT say.
func (d *Demuxer) setPMT(sections [][]byte) {
	var entries [maxStreams]entry
	n, ignored, video := 0, 0, 0
	for _, sec := range sections {
		b := sec[8 : len(sec)-4]
		if len(b) < 4 {
			d.stats.Drops[DropBadSection]++
			return
		}
		info := 4 + (int(b[2]&0x0f)<<8 | int(b[3])) // PCR_PID, program_info_length
		if info > len(b) {
			d.stats.Drops[DropBadSection]++
			return
		}
		for b = b[info:]; len(b) >= 5; {
			size := 5 + (int(b[3]&0x0f)<<8 | int(b[4]))
			if size > len(b) {
				d.stats.Drops[DropBadSection]++
				return
			}
			e, ok := parseEntry(b[:size])
			b0 := b[:size]
			b = b[size:]
			if ok && (n == maxStreams || e.codec.IsVideo() && video == maxVideo || e.pid == d.program.pid) {
				ok = false
			}
			for _, o := range entries[:n] {
				ok = ok && o.pid != e.pid
			}
			if !ok {
				if ignored < len(d.ignored) {
					d.ignored[ignored] = Ignored{PID: e.pid, What: kind(b0)}
				}
				ignored++
				continue
			}
			if e.codec.IsVideo() {
				video++
			}
			entries[n] = e
			n++
		}
	}
	d.stats.IgnoredStreams = ignored
	d.follow(entries[:n])
}

// Ignored is an elementary stream that is not followed.
type Ignored struct {
	PID  uint16
	What string // as "AC-3"
}

func (i Ignored) String() string { return fmt.Sprintf("%s (PID %d)", i.What, i.PID) }

// Ignored lists the elementary streams of the PMT in force that we do not carry, the first eight of them.
func (d *Demuxer) Ignored() []Ignored {
	return slices.Clone(d.ignored[:min(d.stats.IgnoredStreams, len(d.ignored))])
}

// kind names what one entry of a PMT holds: ISO 13818-1 table 2-34, ATSC A/53 part 3 §6.2, ETSI EN 300 468 §6.1.
func kind(b []byte) string {
	switch b[0] {
	case 0x01:
		return "MPEG-1 video"
	case 0x02:
		return "MPEG-2 video"
	case 0x10:
		return "MPEG-4 video"
	case 0x15:
		return "metadata"
	case 0x33:
		return "H.266"
	case 0x81:
		return "AC-3"
	case 0x86:
		return "SCTE-35"
	case 0x87:
		return "E-AC-3"
	case typePrivate:
		for d := b[5:]; len(d) >= 2 && 2+int(d[1]) <= len(d); d = d[2+int(d[1]):] {
			switch {
			case d[0] == 0x05 && d[1] >= 4 && string(d[2:6]) == "AV01":
				return "AV1"
			case d[0] == 0x6a:
				return "AC-3"
			case d[0] == 0x7a:
				return "E-AC-3"
			case d[0] == 0x56:
				return "teletext"
			case d[0] == 0x59:
				return "subtitles"
			}
		}
		return "private data"
	case typeH264, typeH265, typeADTS, typeLATM, typeMPEG1Audio, typeMPEG2Audio:
		return "one stream too many"
	}
	return fmt.Sprintf("stream type %#02x", b[0])
}

// parseEntry reads one entry of a PMT; false: nothing we carry.
func parseEntry(b []byte) (entry, bool) {
	e := entry{pid: uint16(b[1]&0x1f)<<8 | uint16(b[2])}
	if e.pid < pidFirst || e.pid == pidNull {
		return e, false
	}
	switch b[0] {
	case typeH264:
		e.codec = media.H264
	case typeH265:
		e.codec = media.H265
	case typeADTS:
		e.codec = media.AAC
	case typeLATM:
		e.codec, e.latm = media.AAC, true
	case typeMPEG1Audio, typeMPEG2Audio:
		e.codec = media.MP3
	case typePrivate:
		e.private(b[5:])
	}
	return e, e.codec != media.CodecNone
}

// private looks for what the descriptors say of a stream of private data.
//
// Opus: registration "Opus" (tag 5) and an extension descriptor (0x7f, 0x80) with the
// channel_config_code, as in "Encapsulation of Opus in MPEG-TS" of Xiph, §4.
func (e *entry) private(b []byte) {
	e.channels = 2
	for len(b) >= 2 && 2+int(b[1]) <= len(b) {
		body := b[2 : 2+int(b[1])]
		switch {
		case b[0] == 0x05 && len(body) >= 4 && string(body[:4]) == "Opus":
			e.codec = media.Opus
		case b[0] == 0x05 && len(body) >= 4 && string(body[:4]) == "HEVC":
			e.codec = media.H265
		case b[0] == 0x7f && len(body) >= 2 && body[0] == 0x80:
			if c := int(body[1]); c >= 1 && c <= 8 { // 0 is dual mono, above 8 are mapping family 255 and reserved
				e.channels = c
			}
		}
		b = b[2+int(b[1]):]
	}
}

// follow keeps the streams that stay, ends those that go and starts those that are new.
func (d *Demuxer) follow(entries []entry) {
	changed := false
	for i, s := range d.streams {
		if s == nil {
			continue
		}
		stays := false
		for _, e := range entries {
			stays = stays || s.entry == e
		}
		if !stays {
			d.end(s, endStream)
			d.release(i)
			changed = true
		}
	}
	for _, e := range entries {
		if d.slots[e.pid] >= slotStream {
			continue
		}
		for i, s := range d.streams {
			if s == nil {
				d.streams[i] = d.newStream(e)
				d.slots[e.pid] = slotStream + uint8(i)
				changed = true
				break
			}
		}
	}
	if changed {
		d.stats.ProgramChanges++
	}
}

// newStream gives an elementary stream its track: the lowest free index, where 0 is for video and 1 for audio.
func (d *Demuxer) newStream(e entry) *stream {
	index := 0
	if e.codec.IsAudio() {
		index = 1
	}
	if d.tracks[index].used {
		for index = 2; d.tracks[index].used; {
			index++
		}
	}
	t := &d.tracks[index]
	if t.codec != e.codec {
		*t = track{codec: e.codec}
	}
	t.used = true
	limit := maxAudioPES
	if e.codec.IsVideo() {
		limit = d.cfg.MaxAccessUnit
	}
	return &stream{entry: e, index: uint8(index), track: t, limit: limit}
}

// release frees the place of a stream.
func (d *Demuxer) release(i int) {
	s := d.streams[i]
	s.track.used = false
	d.slots[s.pid] = slotNone
	d.streams[i] = nil
}

// Track is an elementary stream that is being followed.
type Track struct {
	Index  uint8 // Frame.Track
	PID    uint16
	Codec  media.Codec
	Config *media.Config // nil until known (Demuxer); for a Muxer see NewMuxer
}

// Tracks lists the followed streams by the PMT in force.
func (d *Demuxer) Tracks() []Track {
	var out []Track
	for _, s := range d.streams {
		if s != nil {
			out = append(out, Track{Index: s.index, PID: s.pid, Codec: s.codec, Config: s.track.config})
		}
	}
	return out
}
