package media

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A unit's time is exact for as long as a stream may last, though its length is no whole number of nanoseconds.
func TestQuietDoesNotDrift(t *testing.T) {
	for rate, asc := range map[int][]byte{48000: {0x11, 0x88}, 44100: {0x12, 0x10}, 22050: {0x13, 0x90}} {
		c, err := NewAACConfig(asc)
		if err != nil || c.SampleRate != rate {
			t.Fatal(rate, c, err)
		}
		q, ok := NewQuiet(c, 1, time.Hour)
		if !ok {
			t.Fatalf("%d Hz has no silence", rate)
		}
		if f := q.Next(); f.DTS != time.Hour || f.Track != 1 || !f.Flags.Has(Key) {
			t.Errorf("begins with %+v", f)
		}
		q.Pass()
		if d := q.Next().DTS - time.Hour - 2*q.Length(); d < 0 || d > 2 {
			t.Errorf("%d Hz: the third unit is %v off two lengths", rate, d)
		}
		q.n = 24 * 3600 * 365 / 1024 * int64(rate) // units last for 1024 seconds each rate of them
		if got, want := q.Due(), time.Hour+24*3600*365/1024*1024*time.Second; got != want {
			t.Errorf("%d Hz: after a year: %v, want %v", rate, got, want)
		}
	}
}

func TestSilentAAC(t *testing.T) {
	for channels, want := range map[int]string{1: "01182007", 2: "21100460 8c1c"} {
		if got := fmt.Sprintf("%x", silentAAC(channels)); got != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%d channels: %s, want %s", channels, got, want)
		}
	}
}

func TestSilenceIsAUnit(t *testing.T) {
	for _, c := range []struct {
		config        Config
		size, samples int
	}{
		{Config{Codec: AAC, ASC: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2}, 6, 1024},
		{Config{Codec: AAC, ASC: []byte{0x2b, 0x92, 0x08}, SampleRate: 22050, Channels: 2}, 6, 1024}, // HE-AAC
		{Config{Codec: AAC, ASC: []byte{0x11, 0xb0}, SampleRate: 48000, Channels: 6}, 19, 1024},
		{Config{Codec: AAC, ASC: []byte{0x11, 0x80}, SampleRate: 48000, Channels: 0}, 0, 0},
		{Config{Codec: AAC, ASC: []byte{0x09, 0x90}, SampleRate: 48000, Channels: 2}, 0, 0}, // AAC Main
		{Config{Codec: Opus, SampleRate: 48000, Channels: 2}, 3, 960},
		{Config{Codec: MP3, SampleRate: 44100, Channels: 2}, 208, 1152},
		{Config{Codec: MP3, SampleRate: 24000, Channels: 1}, 192, 576},
		{Config{Codec: MP3, SampleRate: 11025, Channels: 1}, 0, 0},
		{Config{Codec: H264}, 0, 0},
	} {
		if unit, samples := Silence(&c.config); len(unit) != c.size || samples != c.samples {
			t.Errorf("%v: %d bytes, %d samples; want %d, %d", c.config, len(unit), samples, c.size, c.samples)
		}
	}
}
