package ingest

import (
	"bytes"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// The clip's first key frame and configuration, in the forms a publisher may send them.
func clipKey(t testing.TB) (f *media.Frame, record, startCodes []byte) {
	t.Helper()
	src, err := clip.New()
	if err != nil {
		t.Fatal(err)
	}
	for f = src.Next(); !f.IsKeyVideo(); f = src.Next() {
	}
	for _, n := range [][]byte{f.Config.SPS[0], f.Config.PPS[0]} {
		startCodes = append(append(startCodes, 0, 0, 0, 1), n...)
	}
	return f, media.AppendAVCRecord(nil, f.Config), startCodes
}

func withStartCodes(dst, payload []byte) []byte {
	for n := range media.NALs(payload) {
		dst = append(append(dst, 0, 0, 1), n...)
	}
	return dst
}

func TestUplinkTakesEveryFormOfAPicture(t *testing.T) {
	key, record, sets := clipKey(t)
	for _, c := range []struct {
		name    string
		tracks  []wire.Track
		payload []transport.Payload
	}{
		{"record on the control stream", []wire.Track{{Codec: 1, Config: record}}, []transport.Payload{{Codec: transport.H264, Data: key.Payload}}},
		{"record in band", nil, []transport.Payload{{Codec: transport.H264, Flags: transport.Config, Data: record}, {Codec: transport.H264, Data: key.Payload}}},
		{"parameter sets in band", nil, []transport.Payload{{Codec: transport.H264, Flags: transport.Config, Data: sets}, {Codec: transport.H264, Data: withStartCodes(nil, key.Payload)}}},
		{"parameter sets in the picture", nil, []transport.Payload{{Codec: transport.H264, Data: withStartCodes(bytes.Clone(sets), key.Payload)}}},
	} {
		var u Uplink
		u.Tracks(c.tracks)
		for i := range c.payload {
			c.payload[i].DTS, c.payload[i].PTS = time.Second, 2*time.Second
			u.Payload(&c.payload[i])
		}
		f, ok := u.Next()
		if !ok {
			t.Errorf("%s: no frame; %+v", c.name, u.Stats())
			continue
		}
		if !bytes.Equal(f.Payload, key.Payload) || !f.IsKeyVideo() || !f.Config.Equal(key.Config) || f.DTS != time.Second || f.PTS != 2*time.Second {
			t.Errorf("%s: got %d bytes, flags %v, times %v %v, config equal %v", c.name, len(f.Payload), f.Flags, f.DTS, f.PTS, f.Config.Equal(key.Config))
		}
	}
}

func TestUplinkCountsWhatItCannotUse(t *testing.T) {
	key, record, _ := clipKey(t)
	var u Uplink
	for _, c := range []struct {
		p    transport.Payload
		want UplinkDrop
	}{
		{transport.Payload{Codec: transport.H264, Data: key.Payload}, UplinkNoConfig},
		{transport.Payload{Codec: transport.H264, Flags: transport.Config, Data: record[:8]}, UplinkBadConfig},
		{transport.Payload{Codec: transport.H264, Track: 8, Data: key.Payload}, UplinkBadTrack},
		{transport.Payload{Codec: 9, Data: key.Payload}, UplinkBadCodec},
		{transport.Payload{Codec: transport.AAC}, UplinkEmpty},
	} {
		before := u.Stats().Drops[c.want]
		u.Payload(&c.p)
		if u.Stats().Drops[c.want] != before+1 {
			t.Errorf("%v is not counted: %v", c.want, u.Stats().Drops)
		}
		if _, ok := u.Next(); ok {
			t.Errorf("%v makes a frame", c.want)
		}
	}
}

// TestUplinkAllocatesNothing: pictures in every form, with their configuration before each, and sound.
func TestUplinkAllocatesNothing(t *testing.T) {
	key, record, sets := clipKey(t)
	var free [media.BlockClasses][]*media.Block
	u := Uplink{Memory: media.NewArena(func(class int) *media.Block {
		if n := len(free[class]); n > 0 {
			b := free[class][n-1]
			free[class] = free[class][:n-1]
			return b
		}
		return media.NewBlock(class, func(b *media.Block) { free[class] = append(free[class], b) })
	})}
	payloads := []transport.Payload{
		{Codec: transport.H264, Flags: transport.Config, Data: record},
		{Codec: transport.H264, Data: key.Payload},
		{Codec: transport.H264, Data: withStartCodes(bytes.Clone(sets), key.Payload)},
		{Codec: transport.AAC, Track: 1, Flags: transport.Config, Data: []byte{0x11, 0x90}},
		{Codec: transport.AAC, Track: 1, Data: key.Payload[:200]},
	}
	frames := 0
	n := testing.AllocsPerRun(100, func() {
		for i := range payloads {
			u.Payload(&payloads[i])
			for f, ok := u.Next(); ok; f, ok = u.Next() {
				f.Release()
				frames++
			}
		}
	})
	if frames != 3*101 || n != 0 && !raceEnabled {
		t.Errorf("%v allocations, %d frames", n, frames)
	}
}

func FuzzUplink(f *testing.F) {
	key, record, sets := clipKey(f)
	f.Add(uint8(1), uint8(0), record, key.Payload[:200])
	f.Add(uint8(1), uint8(0), sets, withStartCodes(nil, key.Payload)[:200])
	f.Add(uint8(2), uint8(1), []byte{1, 2, 3}, []byte{0, 0, 1, 0x26, 1})
	f.Add(uint8(3), uint8(0), []byte{0x81, 0, 0, 0, 0x0a, 3}, []byte{0x12, 0})
	f.Add(uint8(4), uint8(1), []byte{0x11, 0x90}, []byte{1})
	f.Add(uint8(5), uint8(1), []byte("OpusHead\x01\x02"), []byte{1})
	f.Add(uint8(16), uint8(0), []byte{}, bytes.Repeat([]byte{0x47}, 188*3))
	f.Fuzz(func(t *testing.T, codec, track uint8, config, data []byte) {
		var u Uplink
		u.Tracks([]wire.Track{{ID: track, Codec: codec, Config: config, Rate: 48000, Channels: 2}})
		for _, p := range []transport.Payload{
			{Track: track, Codec: transport.Codec(codec), Flags: transport.Config, Data: config},
			{Track: track, Codec: transport.Codec(codec), Data: data},
			{Track: track, Codec: transport.Codec(codec), Flags: transport.Key, Data: config},
		} {
			u.Payload(&p)
		}
		u.Flush()
		for fr, ok := u.Next(); ok; fr, ok = u.Next() {
			if fr.Config == nil || len(fr.Payload) == 0 || fr.PTS < fr.DTS {
				t.Errorf("a frame the hub cannot take: %+v", fr)
			}
		}
	})
}
