package relay

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/emu"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/push"
	"github.com/fairlead-live/fairlead/bridge/rtmpout"
	"github.com/fairlead-live/fairlead/bridge/stutter"
)

var gapFor = flag.Duration("gap", 3*time.Second, "how long the publishers of TestTheCDNSeesOnePublish are gone; 20s for the figures in docs/relay.md")

// away is a publisher that goes and comes back: how, and by what protocol. The stream's key is live/HOW-PROTOCOL.
type away struct{ how, protocol string }

func (a away) key() string { return "live/" + a.how + "-" + a.protocol }

// encoders runs the publishers of a test: ffmpeg over SRT and RTMP, `fairlead push` over QUIC.
type encoders struct {
	t      *testing.T
	r      *Relay
	ffmpeg string
	clip   string            // Matroska
	ts     map[string]string // clip as MPEG-TS, for push, by where its clock begins
	via    map[string]string // by protocol, where a link is that is cut; empty: the relay's own
}

// start runs an encoder whose clock begins so many seconds late, until it is told to end; kill is SIGKILL, else it may say good-bye.
// One that ends by itself, as ffmpeg does when it is cut off, is started again, as its user's script does.
func (e *encoders) start(a away, clock string) (end func(kill bool)) {
	srt, rtmp, _ := e.r.Addrs()
	ctx, cancel := context.WithCancel(e.t.Context())
	done := make(chan struct{})
	kill := false
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			var cmd *exec.Cmd
			args := []string{"-v", "error", "-re", "-i", e.clip, "-c", "copy", "-output_ts_offset", clock}
			switch a.protocol {
			case "srt":
				url := e.r.srtURL(a.key(), 120*time.Millisecond)
				cmd = exec.CommandContext(ctx, e.ffmpeg, append(args, "-f", "mpegts", strings.Replace(url, srt.String(), cmp.Or(e.via["srt"], srt.String()), 1))...)
			case "rtmp":
				cmd = exec.CommandContext(ctx, e.ffmpeg, append(args, "-f", "flv", strings.Replace(e.r.rtmpURL(a.key()), rtmp.String(), cmp.Or(e.via["rtmp"], rtmp.String()), 1))...)
			case "quic":
				addr, _ := e.r.QUIC()
				url := strings.NewReplacer(addr.String(), cmp.Or(e.via["quic"], addr.String()), "live/killed-srt", a.key(), "latency=300ms", quicLatency()).Replace(e.r.QUICURL("live/killed-srt"))
				cmd = exec.CommandContext(ctx, os.Args[0], "-test.run=^TestPublisherThatIsKilled$")
				cmd.Env = append(os.Environ(), "FAIRLEAD_TEST_PUSH="+e.ts[clock], "FAIRLEAD_TEST_PUSH_TO="+url)
			}
			cmd.Cancel = func() error {
				if kill {
					return cmd.Process.Kill()
				}
				return cmd.Process.Signal(os.Interrupt)
			}
			cmd.WaitDelay = need.Patience
			_ = cmd.Run()
			select {
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond):
			}
		}
	}()
	end = func(hard bool) {
		kill = kill || hard
		cancel()
		<-done
	}
	e.t.Cleanup(func() { end(true) })
	return end
}

// The other process of a QUIC publisher.
func TestPublisherThatIsKilled(t *testing.T) {
	if os.Getenv("FAIRLEAD_TEST_PUSH") == "" {
		return
	}
	p, err := push.New(push.Config{Input: os.Getenv("FAIRLEAD_TEST_PUSH"), URLs: []string{os.Getenv("FAIRLEAD_TEST_PUSH_TO")}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// cut puts links in front of the relay's ports that carry nothing for a while.
func (e *encoders) cut(after, length time.Duration) {
	link, err := netem.ParseWords(fmt.Sprintf("delay 10ms at %v outage %v", after, length))
	if err != nil {
		e.t.Fatal(err)
	}
	srt, rtmp, _ := e.r.Addrs()
	quic, _ := e.r.QUIC()
	loopback, cfg := netip.MustParseAddrPort("127.0.0.1:0"), emu.Config{Up: link, Down: link, Seed: 7}
	for name, to := range map[string]net.Addr{"srt": srt, "quic": quic} {
		p, err := emu.NewUDPProxy(loopback, netip.MustParseAddrPort(to.String()), cfg)
		if err != nil {
			e.t.Fatal(err)
		}
		e.t.Cleanup(func() { _ = p.Close() })
		e.via[name] = p.Addr().String()
	}
	p, err := emu.NewTCPProxy(loopback, netip.MustParseAddrPort(rtmp.String()), cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = p.Close() })
	e.via["rtmp"] = p.Addr().String()
}

// A CDN tier's side of publishers that go and come back: one publish, no disconnect, times that never go back, sound and picture
// where they were against each other, and everything in between decodes. Three ways to go, at once: a process is killed and started again; an
// encoder says good-bye and comes back with other timestamps; the link is cut under a session that goes on. With -gap by three protocols each, else by one. The first
// stream has ten destinations, one of which answers nothing and one refuses, and the eight others notice nothing.
func TestTheCDNSeesOnePublish(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	all := []away{{"killed", "srt"}, {"restarted", "rtmp"}, {"cut", "quic"}}
	if gapGiven() {
		all = nil
		for _, how := range []string{"killed", "restarted", "cut"} {
			for _, protocol := range []string{"srt", "quic", "rtmp"} {
				all = append(all, away{how, protocol})
			}
		}
	}
	e := &encoders{t: t, ffmpeg: need.Program(t, "ffmpeg"), ts: map[string]string{}, via: map[string]string{}}
	e.clip = encode(t, t.TempDir(), "libx264", 2, int(gapFor.Seconds())+40)
	const clock, otherClock = "10", "4000"
	for _, c := range []string{clock, otherClock} {
		e.ts[c] = filepath.Join(t.TempDir(), "clip.ts")
		run(t, e.ffmpeg, "-v", "error", "-i", e.clip, "-c", "copy", "-output_ts_offset", c, "-f", "mpegts", "-pes_payload_size", "0", e.ts[c])
	}
	dir := t.TempDir()
	cdn := nginx(t, dir)
	refuses := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	cfg := config.Relay{Hold: 60 * time.Second, API: "127.0.0.1:0"}
	for i, a := range all {
		cfg.Key = append(cfg.Key, a.key())
		copies := 1
		if i == 0 {
			copies = 8
		}
		for n := range copies {
			cfg.Push = append(cfg.Push, fmt.Sprintf("%s=rtmp://%s/%s%d", a.key(), cdn, a.key(), n))
		}
	}
	dead := len(cfg.Push)
	cfg.Push = append(cfg.Push, all[0].key()+"=rtmp://"+acceptAndNeverRead(t)+"/live/x", all[0].key()+"=rtmp://"+refuses+"/live/x")
	e.r = startQUIC(t, cfg)
	r := e.r
	const before, after = 4 * time.Second, 6 * time.Second
	cutFor := *gapFor + 3*time.Second
	end := map[away]func(bool){}
	for _, a := range all {
		if a.how != "cut" {
			end[a] = e.start(a, clock)
		}
	}
	for _, a := range all {
		if a.how != "cut" {
			waitStream(t, r, a.key())
		}
	}
	cutAt := time.Now().Add(before + time.Second)
	direct := *e // the links are theirs who are cut
	direct.via = map[string]string{}
	e.cut(time.Until(cutAt), cutFor)
	for _, a := range all {
		if a.how == "cut" {
			end[a] = e.start(a, clock)
		}
	}
	for _, a := range all {
		waitStream(t, r, a.key())
	}
	time.Sleep(time.Until(cutAt.Add(-time.Second)))
	gone := map[away]time.Time{}
	for _, a := range all {
		if a.how == "cut" {
			gone[a] = cutAt
			continue
		}
		gone[a] = time.Now()
		end[a](a.how == "killed")
	}
	time.Sleep(time.Until(gone[all[0]].Add(*gapFor)))
	held := r.streamNamed(t, all[0].key()).Counts.Held
	heldFor := time.Since(gone[all[0]])
	for _, a := range all {
		switch a.how {
		case "killed":
			direct.start(a, clock)
		case "restarted":
			direct.start(a, otherClock)
		}
	}
	time.Sleep(time.Until(cutAt.Add(cutFor)))
	for _, a := range all {
		frames := r.streamNamed(t, a.key()).Counts.Frames
		if a.how != "cut" {
			frames = 0 // it may be back already
		}
		need.Until(t, a.key()+" back", func() bool {
			s := r.streamNamed(t, a.key())
			return s.Publisher != nil && s.Counts.Frames > frames+60 && !s.Stutter.Stalled
		})
	}
	time.Sleep(after)

	if want := uint64(46*(*gapFor-2500*time.Millisecond).Seconds()) * 8 / 10; held < want {
		t.Errorf("%d held frames, want at least %d: after 2 s 47 of silence and 1 picture a second", held, want)
	}
	for i, o := range r.Outputs() {
		st := o.Stats()
		switch i {
		case dead:
			if st.EndedBy(rtmpout.CauseTimeout) == 0 && st.State != rtmpout.Connecting {
				t.Errorf("the one that does not answer: %+v", st)
			}
		case dead + 1:
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
	want := read(t, e.clip, "libx264")
	for i, a := range all {
		for n := range 8 {
			if i == 0 && n != 0 && n != 7 || i > 0 && n > 0 {
				continue
			}
			name := fmt.Sprintf("%s%d", strings.TrimPrefix(a.key(), "live/"), n)
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
		s := r.streamNamed(t, a.key())
		stalled, least := s.Stutter.Total.Sum(), *gapFor-2*time.Second // of a second's buffer, and of a key frame that may lie ahead
		if stalled < least {
			t.Errorf("%s: %v of stall in a gap of %v", a.key(), stalled, *gapFor)
		}
		t.Logf("%s: %d publishers, stalled for %v, %d frames held", a.key(), s.Counts.Publishes, stalled.Round(10*time.Millisecond), s.Counts.Held)
	}
	t.Logf("gap %v: %d held frames in the first %v", *gapFor, held, heldFor)
}

// streamNamed is what is known of a stream.
func (r *Relay) streamNamed(t *testing.T, name string) hub.StreamStats {
	t.Helper()
	for _, s := range r.Streams() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no stream %s", name)
	return hub.StreamStats{}
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
	// Limits of the times in the file, whatever the machine does. The picture is shown each second from 2 s on, from 6 s on where a link's silence is not known
	// (RTMP). Sound that is lost on the way, as a busy machine's may be, leaves a hole of up to 250 ms; with -gap nothing is lost.
	mostPicture, mostSound := 8.0, 0.3
	if gapGiven() {
		mostPicture, mostSound = 2.5, 0.035
		if strings.HasPrefix(name, "cut-rtmp") {
			mostPicture = 6.5
		}
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
