package flv

import (
	"bytes"
	"testing"

	"github.com/fairlead-live/fairlead/bridge/media"
)

func join(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

// track is one track of a body with sizes.
func track(id int, data []byte) []byte { return join(id, 0, 0, len(data), data) }

// Of the tracks of a multitrack body one of each kind is taken, the others are counted.
func TestMultitrack(t *testing.T) {
	c := h264Config(t)
	avc := media.AppendAVCRecord(nil, c)
	frame := func(n byte) []byte { return []byte{0, 0, 0, 0, 0, 0, 2, 0x65, n} } // composition time 0, one NAL unit
	head := []byte("OpusHead\x01\x02\x00\x00\x80\xbb\x00\x00\x00\x00\x00")
	const key, start, coded = 0x90, packetSequenceStart, packetCodedFrames
	for _, c := range []struct {
		why    string
		typ    TagType
		bodies [][]byte
		want   []byte // last byte of each frame
		extra  uint64
	}{
		{"one track a body, number 1, then another", TagVideo, [][]byte{
			join(key|packetMultitrack, oneTrack<<4|start, "avc1", 1, avc),
			join(key|packetMultitrack, oneTrack<<4|coded, "avc1", 1, frame(7)),
			join(key|packetMultitrack, oneTrack<<4|start, "avc1", 2, avc),
			join(key|packetMultitrack, oneTrack<<4|coded, "avc1", 2, frame(8)),
			join(key|packetMultitrack, oneTrack<<4|coded, "avc1", 1, frame(9)),
		}, []byte{7, 9}, 2},
		{"an ordinary track is number 0", TagVideo, [][]byte{
			join(key|start, "avc1", avc),
			join(key|coded, "avc1", frame(1)),
			join(key|packetMultitrack, oneTrack<<4|coded, "avc1", 1, frame(2)),
			join(key|packetMultitrack, oneTrack<<4|coded, "avc1", 0, frame(3)),
		}, []byte{1, 3}, 1},
		{"many tracks of one codec", TagVideo, [][]byte{
			join(key|packetMultitrack, manyTracks<<4|start, "avc1", track(0, avc), track(1, avc)),
			join(key|packetMultitrack, manyTracks<<4|coded, "avc1", track(1, frame(4)), track(0, frame(5)), track(2, frame(6))),
		}, []byte{5}, 3},
		{"many codecs", TagAudio, [][]byte{
			join(soundEx|audioMultitrack, manyTracksManyCodecs<<4|start, "Opus", track(0, head), "mp4a", track(1, []byte{0x11, 0x90})),
			join(soundEx|audioMultitrack, manyTracksManyCodecs<<4|coded, "Opus", track(0, []byte{0xfc, 1}), "mp4a", track(1, []byte{0x21, 2})),
		}, []byte{1}, 2},
		{"behind a ModEx", TagVideo, [][]byte{
			join(key|start, "avc1", avc),
			join(key|packetModEx, 2, 0, 0, 1, 0<<4|packetMultitrack, oneTrack<<4|coded, "avc1", 0, frame(3)),
		}, []byte{3}, 0},
	} {
		var p Parser
		var got []byte
		for _, b := range c.bodies {
			if f := p.Parse(c.typ, 0, b); f != nil {
				got = append(got, f.Payload[len(f.Payload)-1])
			}
			checkSum(t, p.Stats())
		}
		if !bytes.Equal(got, c.want) || p.Stats().ExtraTracks != c.extra {
			t.Errorf("%s: got %v and %d of further tracks, want %v and %d; %+v", c.why, got, p.Stats().ExtraTracks, c.want, c.extra, p.Stats())
		}
	}
	for _, bad := range [][]byte{
		{key | packetMultitrack}, {key | packetMultitrack, 0x31}, join(key|packetMultitrack, 0x01, "avc"), join(key|packetMultitrack, 0x11, "avc1", 0, 0, 0),
		join(key|packetMultitrack, 0x11, "avc1", 0, 0, 0, 9, 1), join(key|packetMultitrack, 0x21, "av"), join(key|packetMultitrack, 0x01, "avc1"),
	} {
		var p Parser
		if f := p.Parse(TagVideo, 0, bad); f != nil || p.Stats().Drops[DropNone] != 0 {
			t.Errorf("% x: %v", bad, f)
		}
		checkSum(t, p.Stats())
	}
}

func TestHEVC12IsReadAsWritten(t *testing.T) {
	in := &media.Frame{Codec: media.H265, PTS: 40e6, Flags: media.Key, Payload: media.AppendNAL(nil, []byte{0x26, 1, 2})}
	b, err := Form{HEVC12: true}.AppendFrameHeader(nil, in)
	if err != nil || !bytes.Equal(b, []byte{0x1c, 1, 0, 0, 40}) {
		t.Errorf("% x, %v", b, err)
	}
	if b, _ = (Form{HEVC12: true}).AppendFrameHeader(nil, &media.Frame{Codec: media.H264}); b[0]&0x0f != codecAVC {
		t.Errorf("H.264 became % x", b)
	}
	m := Form{HEVC12: true}.AppendMetadata(nil, &media.Config{Codec: media.H265})
	if !bytes.Contains(m, []byte("videocodecid\x00\x40\x28\x00\x00\x00\x00\x00\x00")) { // 12
		t.Errorf("% x", m)
	}
}
