package relay

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/push"
	"github.com/fairlead-live/fairlead/bridge/rtmpout"
	"github.com/fairlead-live/fairlead/bridge/stutter"
)

var gapFor = flag.Duration("gap", 3*time.Second, "how long the publishers of TestTheCDNSeesOnePublish are gone; 20s for the figures in docs/relay.md")

// A CDN tier's side of publishers that go and come back: one publish, no disconnect, times that never go back, sound and picture
// where they were against each other, and everything in between decodes. Three ways to go, at once: a process is killed and started again; an
// encoder comes back with other timestamps; the link is cut under a session that goes on. The first stream has ten destinations, one of
// which answers nothing and one refuses, and the eight others notice nothing.
func TestTheCDNSeesOnePublish(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	ffmpeg := need.Program(t, "ffmpeg")
	dir := t.TempDir()
	ref := encode(t, t.TempDir(), "libx264", 2, int(gapFor.Seconds())+30)
	ts := filepath.Join(t.TempDir(), "ref.ts")
	run(t, ffmpeg, "-v", "error", "-i", ref, "-c", "copy", "-f", "mpegts", "-pes_payload_size", "0", ts)
	cdn := nginx(t, dir)
	refuses := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	cfg := config.Relay{Key: []string{"live/killed", "live/newclock", "live/cam"}, Hold: 60 * time.Second}
	for i := range 8 {
		cfg.Push = append(cfg.Push, fmt.Sprintf("live/killed=rtmp://%s/live/killed%d", cdn, i))
	}
	cfg.Push = append(cfg.Push, "live/killed=rtmp://"+acceptAndNeverRead(t)+"/live/x", "live/killed=rtmp://"+refuses+"/live/x",
		"live/newclock=rtmp://"+cdn+"/live/newclock", "live/cam=rtmp://"+cdn+"/live/cut")
	r := startQUIC(t, cfg)
	args := []string{"-v", "error", "-re", "-i", ref, "-c", "copy", "-f", "mpegts", r.srtURL("live/killed", 120*time.Millisecond)}
	rtmpArgs := func(offset string) []string {
		return []string{"-v", "error", "-re", "-i", ref, "-c", "copy", "-output_ts_offset", offset, "-f", "flv", r.rtmpURL("live/newclock")}
	}
	const before, after = 4 * time.Second, 6 * time.Second
	_, url := lossy(t, r, fmt.Sprintf("delay 10ms at %v outage %v", before+time.Second, *gapFor+3*time.Second))
	uplink, err := push.New(push.Config{Input: ts, URLs: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = uplink.Run(ctx) })
	srt1, rtmp1 := start(t, ffmpeg, args...), start(t, ffmpeg, rtmpArgs("10")...)
	for _, k := range cfg.Key {
		waitStream(t, r, k)
	}
	time.Sleep(before)
	_, _ = srt1.Process.Kill(), rtmp1.Process.Kill()
	need.Until(t, "the relay noticing", func() bool { return !r.hub.Publishing("live/killed") && !r.hub.Publishing("live/newclock") })
	time.Sleep(*gapFor)
	held := uint64(0)
	for _, s := range r.Streams() {
		if s.Name == "live/killed" {
			held = s.Counts.Held
		}
	}
	start(t, ffmpeg, args...)
	start(t, ffmpeg, rtmpArgs("4000")...)
	waitStream(t, r, "live/killed")
	waitStream(t, r, "live/newclock")
	time.Sleep(after)

	if want := uint64(46*gapFor.Seconds()) * 8 / 10; held < want {
		t.Errorf("%d held frames, want at least %d: 47 of silence and 1 picture a second", held, want)
	}
	for i, o := range r.Outputs() {
		st := o.Stats()
		switch i {
		case 8:
			if st.EndedBy(rtmpout.CauseTimeout) == 0 && st.State != rtmpout.Connecting {
				t.Errorf("the one that does not answer: %+v", st)
			}
		case 9:
			need.Until(t, "twenty tries at the one that refuses", func() bool { return o.Stats().EndedBy(rtmpout.CauseRefused) >= 20 })
		default:
			if st.Publishes != 1 || st.Dropped != 0 || st.State != rtmpout.Publishing {
				t.Errorf("%s: want one publish and nothing dropped: %+v", st.Destination, st)
			}
			if extra := st.Stutter.Total[stutter.Egress]; extra > 0 && gapGiven() { // as a viewer of this one sees it, beyond the stream's own
				t.Errorf("%s: stalled for %v more than the stream", st.Destination, extra)
			}
		}
	}
	want := read(t, ref, "libx264")
	for _, name := range []string{"killed0", "killed7", "newclock", "cut"} {
		b, err := os.ReadFile(filepath.Join(dir, name+".flv"))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "copy.flv") // nginx still writes to the other one
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		checkContinuity(t, name, file, want)
	}
	t.Logf("gap %v: %d held frames", *gapFor, held)
}

// gapGiven says whether somebody wants figures.
func gapGiven() (given bool) {
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "gap" })
	return given
}

// checkContinuity holds a recording with a gap against the reference of what came before and after it.
func checkContinuity(t *testing.T, name, file string, want stream) {
	t.Helper()
	got := read(t, file, "libx264")
	// Limits of the times in the file, whatever the machine does. A peer that is gone is noticed after 5 s (SRT) to 13 s (QUIC); then the picture is shown each
	// second. Sound that is lost on the way, as a busy machine's may be, leaves a hole of up to 250 ms; with -gap nothing is lost.
	mostPicture, mostSound := 16.0, 0.3
	if gapGiven() {
		mostSound = 0.035
	}
	var longest [2]float64
	for i := 1; i < len(got.videoDTS); i++ {
		d := got.videoDTS[i] - got.videoDTS[i-1]
		if longest[0] = max(longest[0], d); d < 0 || d > mostPicture {
			t.Errorf("%s: video DTS went from %f to %f", name, got.videoDTS[i-1], got.videoDTS[i])
		}
	}
	for i := 1; i < len(got.audioPTS); i++ {
		d := got.audioPTS[i] - got.audioPTS[i-1]
		if longest[1] = max(longest[1], d); d < 0 || d > mostSound {
			t.Errorf("%s: audio PTS went from %f to %f", name, got.audioPTS[i-1], got.audioPTS[i])
		}
	}
	// B-frames whose references died with the publisher cannot be decoded; nothing else may be wrong.
	out := string(run(t, need.Program(t, "ffmpeg"), "-v", "error", "-i", file, "-map", "0:a", "-f", "null", "-"))
	if strings.TrimSpace(out) != "" {
		t.Errorf("%s: the sound does not decode: %s", name, out)
	}
	// Sound and picture at the end against the reference: all rounds have the same units in the same places. The very last may be cut short.
	perAU := len(want.video) / len(want.videoPTS)
	v, vTail := lastIndex(want.video, got.video, perAU)
	a, aTail := lastIndex(want.audio, got.audio, 1)
	if v < 0 || a < 0 {
		t.Errorf("%s: the last frames are none of the reference's", name)
		return
	}
	was := want.videoPTS[v/perAU] - want.audioPTS[a]
	is := got.videoPTS[len(got.videoPTS)-1-vTail] - got.audioPTS[len(got.audioPTS)-1-aTail]
	if d := is - was; d > 0.020 || d < -0.020 {
		t.Errorf("%s: sound moved %.1f ms against the picture", name, d*1000)
	}
	t.Logf("%s: longest step %.2f s of pictures, %.2f s of sound; A/V moved %.1f ms", name, longest[0], longest[1], (is-was)*1000)
}

// lastIndex finds one of the last units of got in want, and says how many come after it.
func lastIndex(want, got [][]byte, step int) (at, tail int) {
	for tail = range 5 {
		k := len(got) - 1 - tail*step
		for i := len(want) - 1; i >= 0 && k >= 0; i-- {
			if bytes.Equal(want[i], got[k]) {
				return i, tail
			}
		}
	}
	return -1, 0
}
