package mpegts

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// TestRealStreams: every frame of ffmpeg's transport stream comes out as the encoder made it, with its times.
func TestRealStreams(t *testing.T) {
	x264 := []string{"-c:v", "libx264", "-preset", "ultrafast", "-b:v", "2M", "-g", "60", "-pix_fmt", "yuv420p"}
	for _, c := range []struct {
		name    string
		codec   []string
		video   media.Codec
		es      string
		audio   media.Codec
		audioES []string // how ffmpeg writes the same audio; empty: compared by size and time only
		long    bool
	}{
		{"x264 without B-frames, AAC", append(x264[:len(x264):len(x264)], "-bf", "0", "-c:a", "aac"), media.H264, "h264", media.AAC, []string{"-f", "adts"}, false},
		{"x264 with B-frames, AAC 44.1 kHz", append(x264[:len(x264):len(x264)], "-bf", "3", "-c:a", "aac", "-ar", "44100"), media.H264, "h264", media.AAC, []string{"-f", "adts"}, true},
		{"x264 in slices, MP3", append(x264[:len(x264):len(x264)], "-bf", "2", "-slices", "4", "-c:a", "libmp3lame"), media.H264, "h264", media.MP3, []string{"-f", "mp3", "-write_xing", "0", "-id3v2_version", "0"}, true},
		{"x265, Opus", []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=30", "-pix_fmt", "yuv420p", "-c:a", "libopus"}, media.H265, "hevc", media.Opus, nil, true},
		{"AAC in LATM", append(x264[:len(x264):len(x264)], "-bf", "0", "-c:a", "aac"), media.H264, "h264", media.AAC, []string{"-f", "adts"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.long && testing.Short() {
				t.Skip("long")
			}
			nut := encode(t, 3, c.codec...)
			muxer := []string{"-f", "mpegts"}
			if c.name == "AAC in LATM" {
				muxer = append(muxer, "-mpegts_flags", "latm")
			}
			ts := remux(t, nut, muxer...)
			source := nut
			if c.video == media.H265 { // from NUT, ffmpeg leaves out what stands before the first picture
				source = filepath.Join(t.TempDir(), "source.ts")
				if err := os.WriteFile(source, ts, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			wantNALs := naiveNALs(c.video, remux(t, source, "-an", "-f", c.es))
			var wantAudio [][]byte
			if c.audioES != nil {
				wantAudio = naiveAudio(t, c.audio, remux(t, nut, append([]string{"-vn"}, c.audioES...)...))
			}
			packets := probe(t, ts)
			for _, chunk := range []int{1316, 188, 61} {
				d := NewDemuxer(Config{})
				frames := demux(t, d, ts, chunk)
				s := d.Stats()
				if what := dropped(s); what != "" || s.Discontinuities+s.SyncLosses+s.TimeJumps+s.Untimed+s.Glued+s.EarlyOff > 0 {
					t.Errorf("dropped %q of a clean stream: %+v", what, s)
				}
				video, audio := pick(frames, 0), pick(frames, 1)
				if len(video) == 0 || len(audio) == 0 {
					t.Fatalf("got %d pictures, %d audio frames", len(video), len(audio))
				}
				compare(t, "NAL unit", nalsOf(video), wantNALs)
				if c.audioES != nil {
					compare(t, "audio frame", payloads(audio), wantAudio)
				}
				compareTimes(t, packets, video, audio)
				configs := map[*media.Config]bool{}
				for _, f := range frames {
					if f.Config == nil || f.Config.Codec != f.Codec || f.Arrival.IsZero() || f.Codec.IsAudio() && !f.Flags.Has(media.Key) {
						t.Fatalf("frame without what a frame has: %+v", f)
					}
					if f.Flags.Has(media.Discontinuity) {
						t.Errorf("discontinuity at %v of a clean stream", f.DTS)
					}
					configs[f.Config] = true
				}
				if len(configs) != 2 {
					t.Errorf("%d configurations, want one a track", len(configs))
				}
				if cfg := video[0].Config; cfg.Width != 320 || cfg.Height != 180 || !video[0].Flags.Has(media.Key) {
					t.Errorf("first picture: %v, %dx%d", video[0].Flags, cfg.Width, cfg.Height)
				}
				if chunk == 1316 {
					rated := s.Early + s.ByNext - 25
					t.Logf("%d pictures, %d early (%.1f %% of those after the first 25), %d by the next, %d by length",
						len(video), s.Early, 100*float64(s.Early)/float64(rated), s.ByNext, s.ByLength)
					if 100*s.Early < 95*rated {
						t.Errorf("%d of %d pictures early, want 95 %%", s.Early, rated)
					}
				}
			}
		})
	}
}

func payloads(frames []*media.Frame) (out [][]byte) {
	for _, f := range frames {
		out = append(out, f.Payload)
	}
	return out
}

// naiveAudio splits a file of ADTS or MP3 frames.
func naiveAudio(t *testing.T, codec media.Codec, b []byte) (out [][]byte) {
	t.Helper()
	for len(b) > 0 {
		f := findADTS(b)
		if codec == media.MP3 {
			f = findMP3(b)
		}
		if f.size == 0 || f.size > len(b) {
			t.Fatalf("no frame at %d bytes before the end", len(b))
		}
		out = append(out, f.data)
		b = b[f.size:]
	}
	return out
}

func compare(t *testing.T, what string, got, want [][]byte) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("%s %d: got %d bytes, want %d, or other ones", what, i, len(got[i]), len(want[i]))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d of %s, want %d", len(got), what, len(want))
	}
}

// compareTimes holds the frames' times against those that ffprobe reads.
func compareTimes(t *testing.T, packets []probed, video, audio []*media.Frame) {
	t.Helper()
	var i, j int
	for _, p := range packets {
		list, k, slack := video, &i, int64(0)
		if p.Stream == 1 {
			list, k, slack = audio, &j, 1 // ffprobe rounds the frames inside a PES packet to ticks
		}
		if *k >= len(list) {
			t.Fatalf("ffprobe sees more frames of stream %d than %d", p.Stream, len(list))
		}
		f := list[*k]
		*k++
		if abs(media.Ticks(f.PTS)-p.PTS) > slack || abs(media.Ticks(f.DTS)-p.DTS) > slack {
			t.Fatalf("stream %d frame %d: PTS %d DTS %d, ffprobe says %d %d", p.Stream, *k-1, media.Ticks(f.PTS), media.Ticks(f.DTS), p.PTS, p.DTS)
		}
	}
	if i != len(video) || j != len(audio) {
		t.Fatalf("%d and %d frames, ffprobe sees %d and %d", len(video), len(audio), i, j)
	}
}
