package advice

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/ingest"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
)

// well is a stream with which nothing is wrong.
func well() Facts {
	return Facts{
		Protocol: "srt", Latency: 400 * time.Millisecond, Asked: 400 * time.Millisecond, KnowsAsked: true, RTT: 80 * time.Millisecond, Loss: 0.01,
		Shape: Shape{GOP: 2 * time.Second, Interval: time.Second / 30, Mean: 4e6, Peak: 5e6, AudioBatch: 1, AudioBehind: 5 * time.Millisecond,
			DriftPPM: 30, Irregular: 0.01, Pictures: 300},
		Bitrate: 4e6, Target: 6e6,
		Outputs: []Output{{Destination: "rtmp://live.example/app", Live: true, Lag: 20 * time.Millisecond}},
	}
}

func names(all []Sentence) (out []string) {
	for _, s := range all {
		out = append(out, s.Rule)
	}
	return out
}

// TestEachRule: each alone, on the facts that make it and on those right beside.
func TestEachRule(t *testing.T) {
	if got := Advise(new(well())); len(got) != 0 {
		t.Fatalf("nothing is wrong: %v", names(got))
	}
	for _, c := range []struct {
		rule     string
		bad, not func(f *Facts)
	}{
		{"latency_unit", func(f *Facts) { f.Asked, f.Latency = 0, 400*time.Millisecond }, func(f *Facts) { f.Asked = 20 * time.Millisecond }},
		{"latency_short", func(f *Facts) { f.Latency = 190 * time.Millisecond }, func(f *Facts) { f.Latency, f.Loss = 190*time.Millisecond, 0.001 }},
		{"over_capacity", func(f *Facts) { f.CapacityS, f.Target = 0.5, 3e6 }, func(f *Facts) { f.CapacityS = 0.5 }},
		{"gop_long", func(f *Facts) { f.Shape.GOP = 8 * time.Second }, func(f *Facts) { f.Shape.GOP = 4 * time.Second }},
		{"b_frames", func(f *Facts) { f.Shape.Reorder = 133 * time.Millisecond }, func(f *Facts) { f.Shape.Reorder = 66 * time.Millisecond }},
		{"b_frames", func(f *Facts) {
			f.Shape.Reorder, f.Outputs[0].Destination = 33*time.Millisecond, "rtmps://live.cloudflare.com:443/live"
		}, func(f *Facts) { f.Outputs[0].Destination = "rtmps://live.cloudflare.com:443/live" }},
		{"bursts", func(f *Facts) { f.Shape.Peak = 11e6 }, func(f *Facts) { f.Shape.Peak = 9e6 }},
		{"encoder_irregular", func(f *Facts) { f.Shape.Irregular = 0.3 }, func(f *Facts) { f.EncoderS = 0.5 }},
		{"encoder_irregular", func(f *Facts) { f.EncoderS = 3 }, func(f *Facts) { f.Shape.Irregular = 0.05 }},
		{"audio_late", func(f *Facts) { f.Shape.AudioBatch, f.Shape.AudioBehind = 8, 120*time.Millisecond },
			func(f *Facts) { f.Shape.AudioBatch, f.Shape.AudioBehind = 3, 120*time.Millisecond }},
		{"udp_buffer", func(f *Facts) { f.SocketDrops = 12 }, func(*Facts) {}},
		{"clock_drift", func(f *Facts) { f.Shape.DriftPPM = -400 }, func(f *Facts) { f.Shape.DriftPPM = 100 }},
		{"key_in_use", func(f *Facts) { f.KeyInUse = 2 }, func(*Facts) {}},
		{"destination_key_in_use", func(f *Facts) { f.Outputs[0].Live, f.Outputs[0].KeyInUse = false, true }, func(f *Facts) { f.Outputs[0].KeyInUse = true }},
		{"destination_slow", func(f *Facts) { f.Outputs[0].Lag = 1500 * time.Millisecond }, func(f *Facts) { f.Outputs[0].Lag = 900 * time.Millisecond }},
	} {
		f := well()
		c.bad(&f)
		if got := names(Advise(&f)); !slices.Equal(got, []string{c.rule}) {
			t.Errorf("%s: says %v", c.rule, got)
		}
		f = well()
		c.not(&f)
		if got := Advise(&f); len(got) != 0 {
			t.Errorf("beside %s: says %v", c.rule, names(got))
		}
	}
}

func TestKeeperDoesNotFlicker(t *testing.T) {
	var k Keeper
	at := time.Unix(1_800_000_000, 0)
	began, ended, shown := 0, 0, 0
	look := func(n int, bad func(i int) bool) {
		for i := range n {
			at = at.Add(time.Second)
			f := well()
			if bad(i) {
				f.Outputs[0].Lag = 2 * time.Second
			}
			all, b, e := k.Look(at, &f)
			began, ended, shown = began+len(b), ended+len(e), len(all)
		}
	}
	look(20, func(i int) bool { return i%3 != 2 })
	if began != 0 {
		t.Errorf("said %d times what held 2 s at a time", began)
	}
	look(60, func(i int) bool { return i%10 < 5 })
	if began != 1 || ended != 0 || shown != 1 {
		t.Errorf("on and off every 5 s: said %d times, taken back %d times, %d shown; want 1, 0, 1", began, ended, shown)
	}
	look(30, func(int) bool { return false })
	if ended != 1 || shown != 0 || len(k.said) != 0 {
		t.Errorf("over: taken back %d times, %d shown, %d remembered", ended, shown, len(k.said))
	}
}

// stream has a real encoder make 25 s of MPEG-TS, and plays it into a Meter: what stands before a picture came with it.
func stream(t *testing.T, args ...string) Shape {
	t.Helper()
	need.Program(t, "ffmpeg")
	all := append([]string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=30", "-f", "lavfi", "-i", "sine=r=48000", "-t", "25",
		"-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-b:a", "64k"}, args...)
	var errs bytes.Buffer
	cmd := exec.Command("ffmpeg", append(all, "-f", "mpegts", "-")...)
	cmd.Stderr = &errs
	ts, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, errs.String())
	}
	var m Meter
	d := ingest.NewTS(mpegts.Config{})
	start := time.Unix(1_800_000_000, 0)
	now, zero, begun := start, time.Duration(0), false
	var batch []*media.Frame
	for len(ts) >= 188 {
		d.Write(now, ts[:188])
		ts = ts[188:]
		for f, ok := d.Next(); ok; f, ok = d.Next() {
			batch = append(batch, f)
			if f.Codec.IsAudio() {
				continue
			}
			if !begun {
				begun, zero = true, f.DTS
			}
			now = start.Add(max(now.Sub(start), f.DTS-zero))
			for _, g := range batch {
				g.Arrival = now
				m.Observe(g, g.DTS, g.PTS)
			}
			batch = batch[:0]
		}
	}
	return m.Shape()
}

// TestRealEncoders: what an encoder does wrong is made by a real one, and one that does it right is let alone.
func TestRealEncoders(t *testing.T) {
	if testing.Short() {
		t.SkipNow()
	}
	good := []string{"-g", "60", "-bf", "0", "-b:v", "400k", "-maxrate", "400k", "-bufsize", "200k", "-pes_payload_size", "0"}
	with := func(more ...string) []string { return append(slices.Clone(good), more...) }
	for _, c := range []struct {
		why  string
		args []string
		want string
	}{
		{"as it should be", good, ""},
		{"a key frame every 300 pictures", with("-g", "300", "-sc_threshold", "0", "-x264-params", "scenecut=0"), "gop_long"},
		{"B-frames, seven deep", with("-bf", "7", "-x264-params", "b-adapt=0:b-pyramid=normal"), "b_frames"},
		{"constant quality: noise for 2 s in a still picture", with("-maxrate", "0", "-bufsize", "0", "-b:v", "0", "-crf", "23", "-vf",
			"drawbox=c=gray:t=fill:enable='not(between(t,14,16))',noise=alls=60:allf=t:enable='between(t,14,16)'"), "bursts"},
		{"a third of the pictures is missing", with("-vf", "select='not(between(mod(n,9),3,5))'", "-fps_mode", "vfr"), "encoder_irregular"},
		{"sound in packets of 2930 bytes", with("-pes_payload_size", "2930"), "audio_late"},
	} {
		f := well()
		f.Shape = stream(t, c.args...)
		f.Shape.DriftPPM = 0
		got := names(Advise(&f))
		// Where pictures are missing sound seems to come in heaps: here only pictures say what time it is.
		if c.want == "" && len(got) > 0 || c.want != "" && !slices.Contains(got, c.want) || len(got) > 2 {
			t.Errorf("%s: says %q, want %q: %+v", c.why, got, c.want, f.Shape)
		}
	}
}

func TestDriftOfTheEncodersClock(t *testing.T) {
	for _, ppm := range []float64{0, 40, -300, 500} {
		var m Meter
		start := time.Unix(1_800_000_000, 0)
		for i := range 30 * 100 {
			at := time.Duration(float64(time.Duration(i)*time.Second/30) * (1 + ppm/1e6))
			jitter := time.Duration(i*7919%30) * time.Millisecond
			f := &media.Frame{Codec: media.H264, Payload: make([]byte, 100), Arrival: start.Add(at + jitter)}
			dts := time.Duration(i) * time.Second / 30
			m.Observe(f, dts, dts)
		}
		f := well()
		f.Shape.DriftPPM = m.Shape().DriftPPM
		if d := f.Shape.DriftPPM - ppm; d < -60 || d > 60 {
			t.Errorf("%v ppm: measured %.0f", ppm, f.Shape.DriftPPM)
		}
		if said := len(Advise(&f)) > 0; said != (ppm < -150 || ppm > 150) {
			t.Errorf("%v ppm: said %v", ppm, said)
		}
	}
}

func TestMeterDoesNotAllocate(t *testing.T) {
	var m Meter
	start := time.Unix(1_800_000_000, 0)
	f := &media.Frame{Codec: media.H264, Payload: make([]byte, 100)}
	a := &media.Frame{Codec: media.AAC, Payload: make([]byte, 100)}
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		dts := time.Duration(i) * time.Second / 30
		f.Arrival, a.Arrival = start.Add(dts), start.Add(dts)
		m.Observe(f, dts, dts)
		m.Observe(a, dts, dts)
		i++
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

// TestTableOfRules keeps docs/advice.md.
func TestTableOfRules(t *testing.T) {
	var b strings.Builder
	b.WriteString("| rule | when | the relay says |\n| --- | --- | --- |\n")
	for _, r := range Rules {
		says := r.Says
		if r.output != nil {
			says = "*destination*: " + says
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.Name, r.When, says)
	}
	doc := filepath.Join("..", "..", "docs", "advice.md")
	have, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- rules -->\n", "<!-- end -->"
	head, rest, ok1 := strings.Cut(string(have), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatal("no place for the table")
	}
	want := head + begin + b.String() + end + tail
	if want == string(have) {
		return
	}
	if os.Getenv("FAIRLEAD_UPDATE") == "" {
		t.Error("docs/advice.md is old: FAIRLEAD_UPDATE=1 go test ./bridge/advice -run TableOfRules")
	} else if err := os.WriteFile(doc, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
