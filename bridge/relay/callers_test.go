package relay

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
)

// libsrt's own caller, in every form of streamid, encrypted and not, let in and turned away.
func TestRealSRTCallers(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	ffmpeg, slt := need.Program(t, "ffmpeg"), need.Program(t, "srt-live-transmit")
	const pass = "sixteen letters!"
	open := startRelay(t, config.Relay{Key: []string{"live/a", "live/b", "live/c", "live/d"}})
	locked := startRelay(t, config.Relay{Key: []string{"live/e"}, SRTPassphrase: pass})
	for _, c := range []struct {
		r            *Relay
		streamid     string
		pass         string
		stream, says string // let in as that stream, or turned away with that in the caller's log
	}{
		{open, "publish:live/a", "", "live/a", ""},
		{open, "#!::r=live/b,m=publish", "", "live/b", ""},
		{open, "publish/live/c", "", "live/c", ""},
		{open, "d", "", "live/d", ""},
		{locked, "publish:live/e", pass, "live/e", ""},
		{open, "publish:live/unknown", "", "", "Application-defined rejection reason"},
		{open, "#!::r=live/a", "", "", "Application-defined rejection reason"},
		{locked, "publish:live/e", "another sixteen!", "", "Incorrect passphrase"},
		{locked, "publish:live/e", "", "", "Password required or unexpected"},
	} {
		t.Run(c.streamid+" "+c.pass, func(t *testing.T) {
			t.Parallel()
			srt, _, _ := c.r.Addrs()
			url := fmt.Sprintf("srt://%s?streamid=%s&latency=200", srt, c.streamid)
			if c.pass != "" {
				url += "&passphrase=" + c.pass
			}
			if c.stream == "" {
				out, _ := exec.Command(slt, "-v", "-loglevel:warn", "-timeout:20", "udp://127.0.0.1:"+fmt.Sprint(freePort(t)), url).CombinedOutput()
				if !strings.Contains(string(out), c.says) {
					t.Errorf("it was not turned away with %q: %s", c.says, out[:min(len(out), 3000)])
				}
				return
			}
			port := freePort(t)
			start(t, slt, fmt.Sprintf("udp://127.0.0.1:%d", port), url)
			start(t, ffmpeg, "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=30", "-c:v", "libx264", "-preset", "ultrafast", "-g", "30",
				"-f", "mpegts", fmt.Sprintf("udp://127.0.0.1:%d?pkt_size=1316", port))
			waitStream(t, c.r, c.stream)
			need.Until(t, "a subscriber's picture", func() bool {
				for _, s := range c.r.Streams() {
					if s.Name == c.stream && s.Counts.Frames > 30 && len(s.Tracks) == 1 && s.Tracks[0].Width == 160 {
						return true
					}
				}
				return false
			})
		})
	}
}
