package mpegts

// findOpus parses an opus_access_unit ("Encapsulation of Opus in MPEG-TS", Xiph, §3):
//
//	control_header_prefix 0x3ff, 11 | start_trim_flag 1 | end_trim_flag 1 | control_extension_flag 1 | reserved 2
//	au_size: bytes of 0xff, then one below, summed | start_trim 16 | end_trim 16 | extension: length 8, bytes
func findOpus(b []byte) found {
	if b[0] != 0x7f || len(b) > 1 && b[1]&0xe0 != 0xe0 {
		return found{}
	}
	short := found{size: len(b) + 1, rate: opusRate}
	if len(b) < 3 {
		return short
	}
	flags, at, size := b[1], 2, 0
	for {
		if at == len(b) {
			return short
		}
		v := b[at]
		at++
		if size += int(v); v != 0xff {
			break
		}
	}
	if flags&0x10 != 0 {
		at += 2
	}
	if flags&0x08 != 0 {
		at += 2
	}
	if flags&0x04 != 0 {
		if at >= len(b) {
			return short
		}
		at += 1 + int(b[at])
	}
	if size == 0 {
		return found{}
	}
	f := found{size: at + size, rate: opusRate, key: 1}
	if f.size <= len(b) {
		f.data = b[at:f.size]
		if f.samples = opusSamples(f.data); f.samples == 0 {
			f.drop = DropBadAudio
		}
	}
	return f
}

// opusRate is the clock of Opus whatever it codes (RFC 7845 §4).
const opusRate = 48000

// opusSamples returns how many samples a packet lasts (RFC 6716 §3.1, §3.2); 0: it is malformed.
func opusSamples(b []byte) int {
	config := b[0] >> 3
	var frame int
	switch {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		frame = [...]int{480, 960, 1920, 2880}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		frame = [...]int{480, 960}[config&1]
	default: // CELT: 2.5, 5, 10, 20 ms
		frame = [...]int{120, 240, 480, 960}[config&3]
	}
	switch b[0] & 3 {
	case 0:
		return frame
	case 1, 2:
		return 2 * frame
	}
	if len(b) < 2 || int(b[1]&0x3f)*frame > 5760 { // "no more than 120 ms"
		return 0
	}
	return int(b[1]&0x3f) * frame
}
