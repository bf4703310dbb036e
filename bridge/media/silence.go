package media

import "time"

// Silence returns one unit of sound that decodes to nothing heard under c, and how long it lasts; nil where the codec has none.
func Silence(c *Config) ([]byte, time.Duration) {
	switch {
	case c.Codec == AAC && c.SampleRate > 0 && len(c.ASC) >= 2 && c.ASC[0]>>3 == 2: // AAC LC
		unit := time.Duration(1024) * time.Second / time.Duration(c.SampleRate)
		switch c.Channels {
		case 1: // one single_channel_element with nothing in it (ISO 14496-3 §4.4.2.1)
			return []byte{0x01, 0x18, 0x20, 0x07}, unit
		case 2: // one channel_pair_element with nothing in it
			return []byte{0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c}, unit
		}
	case c.Codec == Opus: // CELT, 20 ms, full band, a frame of nothing (RFC 6716 §3.1: configuration 31)
		return []byte{0xf8, 0xff, 0xfe}, 20 * time.Millisecond
	}
	return nil, 0
}
