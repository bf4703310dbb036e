package mpegts

// Bitrates in kbit/s by layer class and bitrate_index (ISO 11172-3 §2.4.2.3, ISO 13818-3 §2.4.2.3).
// Index 0 is "free format", which says no length, and 15 is forbidden.
var mp3Bitrates = [5][16]int{
	{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448}, // version 1, layer I
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},    // version 1, layer II
	{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},     // version 1, layer III
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},    // version 2, layer I
	{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},         // version 2, layers II and III
}

var mp3Rates = [4]int{44100, 48000, 32000}

// findMP3 parses a frame of MPEG audio, layers I to III, versions 1, 2 and 2.5:
//
//	syncword 11 | version 2 | layer 2 | no CRC 1 | bitrate 4 | frequency 2 | padding 1 | private 1 | mode 2 | …
func findMP3(b []byte) found {
	if b[0] != 0xff || len(b) > 1 && b[1]&0xe0 != 0xe0 {
		return found{}
	}
	if len(b) < 4 { // it may go on
		return found{size: 4}
	}
	version, layer := b[1]>>3&3, b[1]>>1&3 // version: 3 is 1, 2 is 2, 0 is 2.5; layer: 3 is I, 2 is II, 1 is III
	rate := mp3Rates[b[2]>>2&3]
	if version == 1 || layer == 0 || rate == 0 {
		return found{}
	}
	class := 3 - int(layer)
	if version != 3 {
		class = min(3+class, 4)
		rate /= 2
		if version == 0 {
			rate /= 2
		}
	}
	bitrate := mp3Bitrates[class][b[2]>>4] * 1000
	if bitrate == 0 {
		return found{}
	}
	padding := int(b[2] >> 1 & 1)
	f := found{rate: rate, samples: 1152}
	switch {
	case layer == 3:
		f.samples = 384
		f.size = (12*bitrate/rate + padding) * 4
	case layer == 1 && version != 3:
		f.samples = 576
		f.size = 72*bitrate/rate + padding
	default:
		f.size = 144*bitrate/rate + padding
	}
	channels := uint64(2)
	if b[3]>>6 == 3 {
		channels = 1
	}
	f.key = uint64(version)<<12 | uint64(layer)<<8 | uint64(rate)<<16 | channels
	if f.size <= len(b) {
		f.data = b[:f.size]
	}
	return f
}
