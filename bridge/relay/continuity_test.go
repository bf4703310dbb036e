package relay

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
)

// A CDN tier's side of a publisher that is killed and comes back: one publish, no disconnect, times that never go back, sound and picture
// where they were against each other, and everything in between decodes.
func TestTheCDNSeesOnePublish(t *testing.T) {
	if testing.Short() {
		t.Skip("real time: make test runs it")
	}
	t.Parallel()
	ffmpeg := need.Program(t, "ffmpeg")
	dir := t.TempDir()
	ref := encode(t, t.TempDir(), "libx264", 2, 15)
	cdn := nginx(t, dir)
	r := startRelay(t, config.Relay{Key: []string{"live/cam"}, Push: []string{"live/cam=rtmp://" + cdn + "/live/cam"}, Hold: 20 * time.Second})
	args := []string{"-v", "error", "-re", "-i", ref, "-c", "copy", "-f", "mpegts", r.srtURL("live/cam", 120*time.Millisecond)}
	first := start(t, ffmpeg, args...)
	waitStream(t, r, "live/cam")
	time.Sleep(4 * time.Second)
	_ = first.Process.Kill()
	eventually(t, 10*time.Second, "the relay noticing", func() bool { return !r.hub.Publishing("live/cam") })
	time.Sleep(6 * time.Second)
	held := r.Streams()[0].Counts.Held
	second := start(t, ffmpeg, args...)
	waitStream(t, r, "live/cam")
	time.Sleep(5 * time.Second)
	_ = second.Process.Kill()

	if st := r.Outputs()[0].Stats(); st.Publishes != 1 {
		t.Errorf("%d publishes, want 1: %+v", st.Publishes, st)
	}
	if held < 150 {
		t.Errorf("%d held frames in about 4 s, want 47 of silence and 1 picture a second", held)
	}
	time.Sleep(300 * time.Millisecond)
	b, err := os.ReadFile(filepath.Join(dir, "cam.flv"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "copy.flv") // nginx still writes to the other one
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	got := read(t, file, "libx264")
	for i := 1; i < len(got.videoDTS); i++ {
		if d := got.videoDTS[i] - got.videoDTS[i-1]; d < 0 || d > 6.5 { // the SRT peer that is gone is noticed after 5 s; sound bridges that
			t.Errorf("video DTS went from %f to %f", got.videoDTS[i-1], got.videoDTS[i])
		}
	}
	for i := 1; i < len(got.audioPTS); i++ {
		if d := got.audioPTS[i] - got.audioPTS[i-1]; d < 0 || d > 2.3 {
			t.Errorf("audio PTS went from %f to %f", got.audioPTS[i-1], got.audioPTS[i])
		}
	}
	// B-frames whose references died with the publisher cannot be decoded; nothing else may be wrong.
	out := string(run(t, ffmpeg, "-v", "error", "-i", file, "-map", "0:a", "-f", "null", "-"))
	if strings.TrimSpace(out) != "" {
		t.Errorf("the sound does not decode: %s", out)
	}
	// Sound and picture at the end against the reference: both rounds of the clip have the same units in the same places.
	want := read(t, ref, "libx264")
	v, a := lastIndex(want.video, got.video), lastIndex(want.audio, got.audio)
	perAU := len(want.video) / len(want.videoPTS)
	if v < 0 || a < 0 {
		t.Fatal("the last frames are none of the reference's")
	}
	before := want.videoPTS[v/perAU] - want.audioPTS[a]
	after := got.videoPTS[len(got.videoPTS)-1] - got.audioPTS[len(got.audioPTS)-1]
	if d := after - before; d > 0.020 || d < -0.020 {
		t.Errorf("sound moved %.1f ms against the picture", d*1000)
	}
	t.Logf("%d held frames, A/V moved %.1f ms", held, (after-before)*1000)
}

// lastIndex finds the last unit of got in want.
func lastIndex(want, got [][]byte) int {
	last := string(got[len(got)-1])
	for i := len(want) - 1; i >= 0; i-- {
		if string(want[i]) == last {
			return i
		}
	}
	return -1
}
