package rtmpout

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// cannot are peers, and why they cannot have a case.
type cannot map[string]string

// conformance is one case: what a publisher sends, and which peers have no form for it.
type conformance struct {
	name    string
	make    func(s *show)
	lead    time.Duration // where the destination's timestamps begin; 0: as always
	cannot  cannot        // peers that have no form for it; nil: all have
	late    int           // frames of either kind before the key frame that the destination begins with
	options string        // behind the address
	loud    int           // units of sound before the first key frame, which no destination gets
}

// show collects frames of a synthetic publisher. Arrival follows the source's clock, but where a case says otherwise.
type show struct {
	video, audio  *media.Config
	frame, unit   time.Duration // durations
	gop           int           // pictures; 0: 960 ms of them
	size, keySize int
	cts           []time.Duration // PTS - DTS of a key frame, and of the pictures of a mini-GOP, in decoding order
	from          time.Duration   // DTS of the source's first frame
	lag           time.Duration   // of the sound behind the picture; negative: ahead
	lateVideo     time.Duration   // it begins later than the sound
	lateAudio     time.Duration
	slices        int
	sei           bool
	vary          bool // frame rate
	quiet         bool // sound that decodes

	now    time.Time // arrival of the frame at source time at
	at     time.Duration
	frames []*media.Frame // nil: the publisher goes, and comes back
	n, m   int            // pictures and units so far
}

var conformanceZero = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newShow() *show {
	return &show{video: videoConfig, audio: audioConfig, frame: 40 * time.Millisecond, unit: 23219955 * time.Nanosecond, size: 400, keySize: 4000,
		cts: []time.Duration{0}, slices: 1, now: conformanceZero}
}

// run sends so much of the source's time.
func (s *show) run(d time.Duration) {
	if s.gop == 0 {
		s.gop = int((960*time.Millisecond + s.frame - 1) / s.frame)
	}
	v, a := s.at+s.lateVideo, s.at+s.lag+s.lateAudio
	end := s.at + d
	for n := 0; v < end || a < end; {
		if s.video != nil && v < end && (s.audio == nil || v <= a) {
			s.picture(v)
			step := s.frame
			if s.vary {
				step += time.Duration(n%3) * 7 * time.Millisecond
			}
			v += step
			n++
			continue
		}
		if s.audio == nil {
			break
		}
		if a < end {
			s.sound(a)
		}
		a += s.unit
		if s.video == nil && a >= end || s.video != nil && v >= end && a >= end {
			break
		}
	}
	s.now, s.at = s.now.Add(d), end
	s.lateVideo, s.lateAudio = 0, 0
}

func (s *show) picture(dts time.Duration) {
	key := s.n%s.gop == 0
	size, flags := s.size, media.Flags(0)
	nal := byte(0x41)
	switch s.video.Codec {
	case media.H265:
		nal = 0x02
	}
	if key {
		size, flags = s.keySize, media.Key
		if nal = 0x65; s.video.Codec == media.H265 {
			nal = 0x26
		}
	}
	var payload []byte
	if s.video.Codec == media.AV1 { // one OBU_FRAME with its size in two bytes
		data := append(binary.BigEndian.AppendUint32(nil, 0x80000000|uint32(s.n)), bytes.Repeat([]byte{0x5a}, size)...)
		payload = append([]byte{0x32, 0x80 | byte(len(data)&0x7f), byte(len(data) >> 7)}, data...)
		if key { // as encoders do, the sequence header first
			seq := s.video.SequenceHeader
			payload = append(append([]byte{seq[0] | 2, byte(len(seq) - 1)}, seq[1:]...), payload...)
		}
		s.add(&media.Frame{Codec: media.AV1, Flags: flags, DTS: dts, PTS: dts, Config: s.video, Payload: payload})
		s.n++
		return
	}
	if s.sei {
		payload = media.AppendNAL(payload, []byte{6, 5, 4, 1, 2, 3, 4, 0x80})
	}
	for i := range s.slices {
		b := append([]byte{nal}, s.sliceHeader(i, key)...)
		if s.video.Codec == media.H265 {
			b = append([]byte{nal, 1}, s.sliceHeader(i, key)...)
		}
		b = binary.BigEndian.AppendUint32(b, 0x80000000|uint32(s.n)) // no start code in it
		b = append(b, 0x55, byte(i+1))
		for len(b) < size/s.slices {
			b = append(b, byte(0x11+(s.n+len(b))%100))
		}
		payload = media.AppendNAL(payload, b)
	}
	s.add(&media.Frame{Codec: s.video.Codec, Flags: flags, DTS: dts, PTS: dts + s.delay(), Config: s.video, Payload: payload})
	s.n++
}

func (s *show) sound(dts time.Duration) {
	b, size := []byte{0x21, 0x1b}, 66
	switch {
	case s.audio.Codec == media.MP3: // layer III, 128 kbit/s, 44.1 kHz, stereo: 417 bytes, nothing in them but side information of zeros
		b, size = append([]byte{0xff, 0xfb, 0x90, 0x64}, make([]byte, 32)...), 417
	case s.quiet: // what a decoder takes: nothing heard, and what follows its end is not read
		b, _ = media.Silence(aac(0x12, 0x10))
	}
	b = binary.BigEndian.AppendUint32(b[:len(b):len(b)], 0x80000000|uint32(s.m))
	s.add(&media.Frame{Track: 1, Codec: s.audio.Codec, Flags: media.Key, DTS: dts, PTS: dts, Config: s.audio, Payload: append(b, bytes.Repeat([]byte{0x5a}, size-len(b))...)})
	s.m++
}

func (s *show) add(f *media.Frame) {
	f.Arrival = s.now.Add(f.DTS - s.at)
	f.DTS += s.from
	f.PTS += s.from
	s.frames = append(s.frames, f)
}

// again is the publisher's end, and the next one.
func (s *show) again() { s.frames = append(s.frames, nil) }

// pause lets the wall clock go on without media.
func (s *show) pause(d time.Duration) { s.now = s.now.Add(d) }

func aac(asc ...byte) *media.Config {
	c, err := media.NewAACConfig(asc)
	if err != nil {
		panic(err)
	}
	return c
}

var (
	// the same coder, 640 × 480
	otherVideo, _ = media.NewH264Config([][]byte{{0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x0f, 0x16, 0x2e, 0x48}}, [][]byte{{0x68, 0xcb, 0x83, 0xcb, 0x20}})
	hevc, _       = media.NewH265Config(
		[][]byte{{0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x95, 0x94, 0x09}},
		[][]byte{{0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c, 0xa0, 0x0a, 0x08, 0x0c, 0x1f, 0x3e, 0x59, 0x59, 0x52, 0x93, 0x0b, 0xc0, 0x5a, 0x02, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x10}},
		[][]byte{{0x44, 0x01, 0xc0, 0x73, 0xc1, 0x89}})
	// with pictures in another order than they are decoded
	bVideo, _     = media.NewH264Config([][]byte{{0x67, 0x4d, 0x40, 0x0c, 0xec, 0x80, 0xa0, 0xcf, 0xcf, 0x80, 0x88, 0x00, 0x00, 0x03, 0x00, 0x08, 0x00, 0x00, 0x03, 0x01, 0x90, 0x78, 0xa1, 0x4c, 0xb0}}, [][]byte{{0x68, 0xee, 0x0f, 0xc8}})
	av1Config, _  = media.NewAV1Config([]byte{8, 0, 0, 0, 66, 167, 191, 228, 96, 13, 0, 64})
	opusConfig, _ = media.NewOpusConfig(2)
	mp3Config, _  = media.NewMP3Config(44100, 2)
)

// A closed group's order: I P B B, and I P B b b. Pictures are shown one or two frames after they are decoded at the earliest.
var (
	bFrames  = []time.Duration{ms(40), ms(120), 0, 0}
	bPyramid = []time.Duration{ms(80), ms(200), ms(80), 0, ms(40)}
)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// Why peers cannot: seen in this test without the exception. Debian's ffmpeg 5.1 and nginx-rtmp know no Enhanced RTMP; SRS takes H.265 of it. nginx-rtmp keeps sound it
// does not know. ffmpeg writes FLV's times without their highest bit, and SRS thinks in 31 bits.
var (
	enhanced = cannot{"nginx": "no Enhanced RTMP", "ffmpeg": "no Enhanced RTMP"}
	av1      = cannot{"nginx": "no Enhanced RTMP", "ffmpeg": "no Enhanced RTMP", "srs": "no AV1"}
	opus     = cannot{"ffmpeg": "no Enhanced RTMP", "srs": "no Opus"}
	hevcOpus = cannot{"nginx": "no Enhanced RTMP", "ffmpeg": "no Enhanced RTMP", "srs": "no Opus"}
	codec12  = cannot{"ffmpeg": "no codec 12"}
	mp3      = cannot{"mediamtx": "second unit 26 ms late"}
	bits32   = cannot{"ffmpeg": "files of 31 bits", "srs": "31 bits"}
)

var conformances = []conformance{
	{name: "25 frames/s, AAC 44.1 kHz", make: func(s *show) { s.run(time.Second) }},
	{name: "timestamps from 0", make: func(s *show) { s.from = 0; s.run(time.Second) }},
	{name: "source at 26 h: over the 33-bit clock", make: func(s *show) { s.from = media.FromTicks(1<<33) - 500*time.Millisecond; s.run(time.Second) }},
	{name: "source before 0", make: func(s *show) { s.from = -300 * time.Millisecond; s.run(time.Second) }},
	{name: "source at 49 days: over 2^32 ms", make: func(s *show) { s.from = (1<<32)*time.Millisecond - 500*time.Millisecond; s.run(time.Second) }},
	{name: "destination over 0xffffff ms", lead: 0xffffff*time.Millisecond - 500*time.Millisecond, make: func(s *show) { s.run(time.Second) }},
	{name: "destination beyond 0xffffff ms", lead: 0x1000000 * time.Millisecond, make: func(s *show) { s.run(time.Second) }},
	{name: "large key frames over 0xffffff ms", lead: 0xffffff*time.Millisecond - 500*time.Millisecond, make: func(s *show) { s.keySize = 150_000; s.run(time.Second) }},
	{name: "destination over 2^31 ms", lead: (1<<31)*time.Millisecond - 500*time.Millisecond, cannot: bits32, make: func(s *show) { s.run(3 * time.Second) }},
	{name: "B-frames, 2", make: func(s *show) { s.video, s.gop, s.cts = bVideo, 25, bFrames; s.run(time.Second) }},
	{name: "B-frames, pyramid", make: func(s *show) { s.video, s.gop, s.cts = bVideo, 25, bPyramid; s.run(time.Second) }},
	{name: "15 frames/s", make: func(s *show) { s.frame = time.Second / 15; s.run(time.Second) }},
	{name: "24000/1001 frames/s", make: func(s *show) { s.frame = 1001 * time.Second / 24000; s.run(time.Second) }},
	{name: "30000/1001 frames/s", make: func(s *show) { s.frame = 1001 * time.Second / 30000; s.run(time.Second) }},
	{name: "60000/1001 frames/s", make: func(s *show) { s.frame = 1001 * time.Second / 60000; s.run(time.Second) }},
	{name: "120 frames/s", make: func(s *show) { s.frame = time.Second / 120; s.run(time.Second) }},
	{name: "variable frame rate", make: func(s *show) { s.vary = true; s.run(time.Second) }},
	{name: "every picture a key frame", late: 30, make: func(s *show) { s.gop = 1; s.run(time.Second) }},
	{name: "one key frame only", make: func(s *show) { s.gop = 1000; s.run(time.Second) }},
	{name: "tiny pictures", make: func(s *show) { s.size, s.keySize = 16, 20; s.run(time.Second) }},
	{name: "key frames of 300 kB", make: func(s *show) { s.keySize = 300_000; s.run(time.Second) }},
	{name: "a picture in 8 slices", make: func(s *show) { s.slices, s.size, s.keySize = 8, 4800, 16_000; s.run(time.Second) }},
	{name: "SEI before each picture", make: func(s *show) { s.sei = true; s.run(time.Second) }},
	{name: "no sound", make: func(s *show) { s.audio = nil; s.run(3 * time.Second) }},
	{name: "AAC 48 kHz mono", make: func(s *show) { s.audio, s.unit = aac(0x11, 0x88), 1024*time.Second/48000; s.run(time.Second) }},
	{name: "AAC 22.05 kHz", make: func(s *show) { s.audio, s.unit = aac(0x13, 0x90), 1024*time.Second/22050; s.run(time.Second) }},
	{name: "HE-AAC", make: func(s *show) {
		s.audio, s.unit, s.quiet = aac(0x2b, 0x11, 0x88, 0x00), 2048*time.Second/48000, true
		s.run(time.Second)
	}},
	{name: "MP3", cannot: mp3, make: func(s *show) { s.audio, s.unit = mp3Config, 1152*time.Second/44100; s.run(time.Second) }},
	{name: "no picture", late: 40, make: func(s *show) { s.video, s.quiet = nil, true; s.run(3 * time.Second) }},
	{name: "no picture, MP3", cannot: mp3, late: 40, make: func(s *show) {
		s.video, s.audio, s.unit = nil, mp3Config, 1152*time.Second/44100
		s.run(3 * time.Second)
	}},
	{name: "sound 200 ms behind", make: func(s *show) { s.lag = ms(200); s.run(time.Second) }},
	{name: "sound 200 ms ahead", loud: 10, make: func(s *show) { s.lag = -ms(200); s.run(time.Second) }},
	{name: "sound begins 0.5 s later", make: func(s *show) { s.lateAudio = ms(500); s.run(1500 * time.Millisecond) }},
	{name: "picture begins 0.5 s later", loud: 23, make: func(s *show) { s.lateVideo = ms(500); s.run(1500 * time.Millisecond) }},
	{name: "sound drifts by 200 ppm", make: func(s *show) { s.unit += s.unit / 5000; s.run(2 * time.Second) }},
	{name: "source jumps 10 s ahead", make: func(s *show) { s.run(time.Second); s.from += 10 * time.Second; s.run(time.Second) }},
	{name: "source jumps 10 s back", make: func(s *show) {
		s.from = time.Hour
		s.run(time.Second)
		s.from -= 10 * time.Second
		s.run(time.Second)
	}},
	{name: "source begins at 0 again", make: func(s *show) { s.from = time.Hour; s.run(time.Second); s.from = -s.at; s.run(time.Second) }},
	{name: "source silent for 2 s", make: func(s *show) {
		s.run(time.Second)
		s.pause(2 * time.Second)
		s.from += 2 * time.Second
		s.run(time.Second)
	}},
	{name: "picture 100 ms back, once", make: func(s *show) { s.run(time.Second); s.from -= ms(100); s.run(time.Second) }},
	{name: "another resolution", make: func(s *show) { s.run(960 * time.Millisecond); s.video = otherVideo; s.run(time.Second) }},
	{name: "another AAC configuration", make: func(s *show) { s.run(time.Second); s.audio = aac(0x11, 0x90); s.run(time.Second) }},
	{name: "both change", make: func(s *show) {
		s.run(960 * time.Millisecond)
		s.video, s.audio = otherVideo, aac(0x11, 0x90)
		s.run(time.Second)
	}},
	{name: "publisher back, same settings", make: func(s *show) { s.run(960 * time.Millisecond); s.again(); s.from = time.Hour; s.run(time.Second) }},
	{name: "publisher back, another resolution", make: func(s *show) { s.run(960 * time.Millisecond); s.again(); s.video = otherVideo; s.run(time.Second) }},
	{name: "publisher back over 0xffffff ms", lead: 0xffffff*time.Millisecond - 500*time.Millisecond, make: func(s *show) { s.run(960 * time.Millisecond); s.again(); s.run(time.Second) }},
	{name: "H.265, AAC", cannot: enhanced, make: func(s *show) { s.video = hevc; s.run(time.Second) }},
	{name: "H.265 with B-frames over 0xffffff ms", cannot: enhanced, lead: 0xffffff*time.Millisecond - 500*time.Millisecond, make: func(s *show) {
		s.video, s.gop, s.cts = hevc, 25, bFrames
		s.run(time.Second)
	}},
	{name: "H.265 as codec 12, AAC", cannot: codec12, options: "#hevc=12", make: func(s *show) { s.video = hevc; s.run(time.Second) }},
	{name: "AV1, AAC", cannot: av1, make: func(s *show) { s.video = av1Config; s.run(time.Second) }},
	{name: "AV1, Opus, over 0xffffff ms", cannot: av1, lead: 0xffffff*time.Millisecond - 500*time.Millisecond, make: func(s *show) {
		s.video, s.audio, s.unit = av1Config, opusConfig, ms(20)
		s.run(time.Second)
	}},
	{name: "H.265, Opus", cannot: hevcOpus, make: func(s *show) { s.video, s.audio, s.unit = hevc, opusConfig, ms(20); s.run(time.Second) }},
	{name: "H.264, Opus", cannot: opus, make: func(s *show) { s.audio, s.unit = opusConfig, ms(20); s.run(time.Second) }},
}
