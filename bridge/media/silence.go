package media

import "time"

// Silence returns one unit of sound that decodes to nothing heard under c, and how many samples at c.SampleRate it lasts; nil where there
// is none: AAC object types other than LC, SBR and PS, or channels in no standard order.
func Silence(c *Config) (unit []byte, samples int) {
	switch {
	case c.Codec == AAC && c.SampleRate > 0 && len(c.ASC) >= 2:
		switch c.ASC[0] >> 3 {
		case 2, 5, 29: // AAC LC; with SBR and PS, which a frame may leave out
			if unit := silentAAC(c.Channels); unit != nil {
				return unit, 1024
			}
		}
	case c.Codec == Opus: // CELT, 20 ms, full band, a frame of nothing (RFC 6716 §3.1: configuration 31)
		return []byte{0xf8, 0xff, 0xfe}, 960
	case c.Codec == MP3:
		return silentMP3(c)
	}
	return nil, 0
}

// aacElements are the elements of a frame by number of channels: 0 single_channel_element, 1 channel_pair_element, 3 lfe_channel_element
// (ISO 14496-3 §4.5.1, table 1.19).
var aacElements = [...][]uint64{1: {0}, 2: {1}, 3: {0, 1}, 4: {0, 1, 0}, 5: {0, 1, 1}, 6: {0, 1, 1, 3}, 8: {0, 1, 1, 1, 3}}

// silentAAC makes a raw_data_block whose elements have no scale factor bands (ISO 14496-3 §4.4.2.1).
func silentAAC(channels int) []byte {
	if channels < 0 || channels >= len(aacElements) || aacElements[channels] == nil {
		return nil
	}
	var out []byte
	free := 0 // bits of the last byte
	put := func(v uint64, bits int) {
		for bits--; bits >= 0; bits-- {
			if free == 0 {
				out, free = append(out, 0), 8
			}
			free--
			out[len(out)-1] |= byte(v>>bits&1) << free
		}
	}
	const gain = 0x8c << 3 // global_gain; no pulse_data, tns_data, gain_control_data
	var tags [4]uint64
	for _, id := range aacElements[channels] {
		put(id, 3)
		put(tags[id], 4)
		tags[id]++
		if id == 1 {
			put(1, 1)              // common_window
			put(1<<7, 11)          // ics_info: a long window of the other shape, max_sfb 0
			put(0, 2)              // ms_mask_present
			put(gain<<11|gain, 22) // two channel streams
		} else {
			put(0x8c, 8)
			put(1<<7, 11)
			put(0, 3)
		}
	}
	put(7, 3) // END
	return out
}

// silentMP3 makes a frame of layer III whose side information says that nothing follows (ISO 11172-3 §2.4.1.7, ISO 13818-3 §2.4.1.7).
func silentMP3(c *Config) ([]byte, int) {
	for version, rates := range [...][3]int{{44100, 48000, 32000}, {22050, 24000, 16000}} {
		for i, rate := range rates {
			if rate != c.SampleRate {
				continue
			}
			// 64 kbit/s, without a checksum; the length in bytes is samples / 8 × bit rate / sample rate.
			header := [4]byte{0xff, 0xfb, byte(5<<4 | i<<2), 0}
			samples := 1152
			if version == 1 {
				header[1], header[2], samples = 0xf3, byte(8<<4|i<<2), 576
			}
			if c.Channels == 1 {
				header[3] = 3 << 6
			}
			unit := make([]byte, samples/8*64_000/rate)
			copy(unit, header[:])
			return unit, samples
		}
	}
	return nil, 0
}

// Quiet counts a track's sound in units of silence: their times have the length of a unit between them, however many there are.
type Quiet struct {
	Config *Config
	Track  uint8

	unit    []byte
	samples int64
	from    time.Duration
	n       int64
}

// NewQuiet begins at a time; ok is false where the codec has no silence.
func NewQuiet(c *Config, track uint8, from time.Duration) (q Quiet, ok bool) {
	unit, samples := Silence(c)
	return Quiet{Config: c, Track: track, unit: unit, samples: int64(samples), from: from}, unit != nil
}

// Due is the time of the next unit.
func (q *Quiet) Due() time.Duration { return q.At(0) }

// At is the time of the unit that is n after the next one, or before it.
func (q *Quiet) At(n int64) time.Duration {
	samples, rate := (q.n+n)*q.samples, int64(q.Config.SampleRate)
	return q.from + time.Duration(samples/rate)*time.Second + time.Duration(samples%rate*int64(time.Second)/rate)
}

// Length is how long a unit lasts, rounded down.
func (q *Quiet) Length() time.Duration {
	return time.Duration(q.samples) * time.Second / time.Duration(q.Config.SampleRate)
}

// Next returns the next unit as a frame.
func (q *Quiet) Next() *Frame {
	at := q.Due()
	q.n++
	return &Frame{Track: q.Track, Codec: q.Config.Codec, Flags: Key, DTS: at, PTS: at, Config: q.Config, Payload: q.unit}
}

// Pass counts a unit that is not silence and goes where the next one was due.
func (q *Quiet) Pass() { q.n++ }
