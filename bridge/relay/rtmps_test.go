package relay

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/transport/quiclink"
)

// ffmpeg publishes and plays over TLS, with our self-signed certificate.
func TestRTMPS(t *testing.T) {
	need.RealTime(t)
	ffmpeg := need.Program(t, "ffmpeg")
	r := startRelay(t, config.Relay{Key: []string{"live/cam"}, RTMPS: "127.0.0.1:0"})
	dir := t.TempDir()
	url := fmt.Sprintf("rtmps://%s/live/cam", r.RTMPSAddr())
	start(t, ffmpeg, "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-f", "lavfi", "-i", "sine=sample_rate=48000", "-c:v", "libx264",
		"-preset", "ultrafast", "-g", "30", "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "flv", "-tls_verify", "0", url)
	waitStream(t, r, "live/cam")
	out := filepath.Join(dir, "out.flv")
	run(t, ffmpeg, "-v", "error", "-tls_verify", "0", "-i", url, "-t", "2", "-c", "copy", "-y", out)
	got := read(t, out, "h264")
	if len(got.video) < 55 || len(got.audio) < 80 {
		t.Errorf("a player has %d pictures and %d audio frames of 2 s", len(got.video), len(got.audio))
	}
}

// A renewed certificate is served without a restart; one that cannot be read leaves the old one.
func TestRTMPSCertificateIsRenewed(t *testing.T) {
	dir := t.TempDir()
	files := [2]string{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	first, _, err := quiclink.Identity(files[0], files[1])
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	c := &certificate{certFile: files[0], keyFile: files[1], failed: func(error) { failed++ }, cert: first, stamp: modified(files[0])}
	serial := func() string {
		c.looked = time.Time{}
		cert, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf.SerialNumber.String()
	}
	before := serial()
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if now := serial(); now != before || failed == 0 {
		t.Errorf("without a file: %v, was %v; told %d times", now, before, failed)
	}
	_ = os.Remove(files[1])
	second, _, err := quiclink.Identity(files[0], files[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(files[0], time.Now(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if now := serial(); now == before || now != second.Leaf.SerialNumber.String() {
		t.Errorf("renewed: %v, was %v", now, before)
	}
}
