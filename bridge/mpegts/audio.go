package mpegts

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// audioUnit is one audio frame found in a PES packet.
type audioUnit struct {
	data   []byte        // the payload of the frame
	at     time.Duration // its time
	config *media.Config
}

// found is what a parser says of the start of some bytes.
type found struct {
	size    int    // bytes it takes, headers included; 0: no frame starts here
	data    []byte // what of them is the frame's payload
	samples int
	rate    int
	key     uint64 // changes when the configuration does; never 0
	drop    DropReason
}

// maxRest is the most of a frame that waits for the next PES packet: an ADTS frame has at most 8191 bytes, LATM 3 more.
const maxRest = 8194

// audio makes frames of a PES packet; whole: its end is the true one, so that a frame may go on in the next.
//
// "If a PTS is present it shall refer to the first access unit that commences in this PES packet"
// (§2.4.3.7). The others follow by sample count at their own rate.
func (d *Demuxer) audio(s *stream, h pesHeader, whole bool) {
	b, commence := h.packet[h.data:], 0
	if len(s.rest) > 0 {
		d.work = append(append(d.work[:0], s.rest...), b...)
		if f := d.find(s, d.work); f.size <= len(d.work) && (f.size == len(d.work) || d.find(s, d.work[f.size:]).size > 0) {
			b, commence = d.work, len(s.rest)
		} else { // what was kept was no frame
			d.drop(DropBadAudio)
			s.lost = true
		}
		s.rest = s.rest[:0]
	}
	d.units = d.units[:0]
	stamped, bad := false, false
	for at := 0; at < len(b); {
		f := d.find(s, b[at:])
		if f.size == 0 {
			bad = true
			at++
			continue
		}
		if bad { // one drop for what lies between two frames
			bad = false
			d.drop(DropBadAudio)
			s.lost = true
		}
		if at+f.size > len(b) {
			if whole && len(b)-at <= maxRest {
				s.rest = append(s.rest, b[at:]...)
			} else if whole {
				d.drop(DropBadAudio)
			}
			break
		}
		if at >= commence && !stamped && h.hasPTS {
			stamped = true
			s.base, s.samples, s.rate, s.timed = d.clock.unwrap(h.pts), 0, int64(f.rate), true
		}
		at += f.size
		d.unit(s, f)
	}
	if bad {
		d.drop(DropBadAudio)
		s.lost = true
	}
	d.emitUnits(s)
}

// unit gives a frame its time and configuration, or counts why it gets none.
func (d *Demuxer) unit(s *stream, f found) {
	if int64(f.rate) != s.rate && s.timed {
		s.base, s.samples = media.Ticks(s.time()), 0
	}
	s.rate = int64(f.rate)
	at := s.time()
	s.samples += int64(f.samples)
	switch {
	case f.drop != dropNone:
		d.drop(f.drop)
		return
	case !s.timed:
		d.drop(DropNoTimestamp)
		return
	}
	if t := s.track; t.config == nil || t.key != f.key {
		cfg := configOf(s, f)
		if cfg == nil {
			d.drop(DropUnsupported)
			return
		}
		t.key = f.key
		if !cfg.Equal(t.config) {
			t.config = cfg
		}
	}
	d.units = append(d.units, audioUnit{data: f.data, at: at, config: s.track.config})
}

// time is that of the next frame, exact from the base.
func (s *stream) time() time.Duration {
	if s.rate == 0 {
		return media.FromTicks(s.base)
	}
	sec, part := s.samples/s.rate, s.samples%s.rate
	return media.FromTicks(s.base) + time.Duration(sec)*time.Second + time.Duration(part*int64(time.Second)/s.rate)
}

// emitUnits makes the frames.
func (d *Demuxer) emitUnits(s *stream) {
	for _, u := range d.units {
		f := d.cfg.Memory.Frame(append(d.cfg.Memory.Buffer(len(u.data)), u.data...))
		f.Track, f.Codec, f.Config, f.Arrival = s.index, s.codec, u.config, d.now
		f.Flags = media.Key | s.flags(d.place(s.track, media.Ticks(u.at)))
		f.DTS, f.PTS = u.at, u.at
		d.stats.Units++
		d.emit(f)
	}
	clear(d.units)
}

// find parses the start of b by the stream's codec.
func (d *Demuxer) find(s *stream, b []byte) found {
	switch {
	case s.codec == media.Opus:
		return findOpus(b)
	case s.codec == media.MP3:
		return findMP3(b)
	case s.latm:
		return s.findLATM(b)
	default:
		return findADTS(b)
	}
}

// configOf makes the configuration of a frame; nil: there is none we can express.
func configOf(s *stream, f found) *media.Config {
	var cfg *media.Config
	var err error
	switch s.codec {
	case media.Opus:
		cfg, err = media.NewOpusConfig(s.channels)
	case media.MP3:
		cfg, err = media.NewMP3Config(f.rate, int(f.key&3))
	default:
		if s.latm {
			cfg, err = media.NewAACConfig(s.latmASC)
		} else {
			cfg, err = media.NewAACConfig(adtsASC(f.key))
		}
	}
	if err != nil {
		return nil
	}
	return cfg
}
