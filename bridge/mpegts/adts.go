package mpegts

// aacRates by sampling_frequency_index (ISO 14496-3 table 1.18).
var aacRates = [16]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// findADTS parses an ADTS frame (ISO 14496-3 §1.A.2):
//
//	syncword 12 | ID 1 | layer 2 | protection_absent 1 | profile 2 | frequency 4 | private 1 | channels 3 | copy 4
//	frame_length 13 | fullness 11 | raw_data_blocks-1 2 | CRC 16 if not absent
func findADTS(b []byte) found {
	if b[0] != 0xff || len(b) > 1 && b[1]&0xf6 != 0xf0 {
		return found{}
	}
	if len(b) < 7 { // it may go on
		return found{size: 7}
	}
	head := 7
	if b[1]&1 == 0 {
		head = 9
	}
	size := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5
	profile, freq, channels := b[2]>>6, b[2]>>2&15, b[2]&1<<2|b[3]>>6
	if size <= head || aacRates[freq] == 0 {
		return found{}
	}
	f := found{size: size, samples: 1024, rate: aacRates[freq], key: 1<<16 | uint64(profile)<<8 | uint64(freq)<<4 | uint64(channels)}
	// Several blocks in one frame cannot be taken apart without decoding, and without a channel
	// configuration there is no AudioSpecificConfig.
	if blocks := int(b[6]&3) + 1; blocks > 1 || channels == 0 {
		f.samples, f.drop = 1024*blocks, DropUnsupported
	}
	if size <= len(b) {
		f.data = b[head:size]
	}
	return f
}

// adtsASC makes the AudioSpecificConfig (ISO 14496-3 §1.6.2.1) of what findADTS packed into a key:
// audioObjectType 5 bits, samplingFrequencyIndex 4, channelConfiguration 4, and three zeros of GASpecificConfig.
func adtsASC(key uint64) []byte {
	v := (key>>8&3+1)<<11 | (key>>4&15)<<7 | (key&7)<<3
	return []byte{byte(v >> 8), byte(v)}
}
