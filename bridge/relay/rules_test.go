package relay

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/emu"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bridge/advice"
	"github.com/fairlead-live/fairlead/bridge/config"
)

// rulesWithin is how long TestEveryRuleForReal waits for the last sentence: a clock's drift shows after 70 s.
const rulesWithin = 5 * time.Minute

// stage is where the conditions of the rules are made: one relay, one nginx as destination.
type stage struct {
	t      *testing.T
	r      *Relay
	ffmpeg string
	nginx  string
	wg     sync.WaitGroup
	ctx    context.Context
}

// encoder starts ffmpeg with a small picture and sound, well encoded unless more says otherwise, to a URL; the returned function ends it.
func (s *stage) encoder(url string, more ...string) (end func()) {
	args := []string{"-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=15", "-f", "lavfi", "-i", "sine=r=48000", "-t", "600",
		"-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-g", "30", "-bf", "0", "-b:v", "300k", "-maxrate", "300k", "-bufsize", "150k",
		"-c:a", "aac", "-b:a", "64k", "-pes_payload_size", "0"}
	format := "mpegts"
	if strings.HasPrefix(url, "rtmp:") {
		format = "flv"
		args = args[:len(args)-2]
	}
	return s.again(append(append(args, more...), "-f", format, url))
}

// again runs ffmpeg, and again when it ends by itself, as who is refused does, until it is told to end.
func (s *stage) again(args []string) (end func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	s.wg.Go(func() {
		for ctx.Err() == nil {
			_ = exec.CommandContext(ctx, s.ffmpeg, args...).Run()
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	})
	return cancel
}

// srt is a stream's URL with a latency.
func (s *stage) srt(rule string, latency time.Duration) string {
	return s.r.srtURL("live/"+rule, latency)
}

// through is an SRT URL over a bad link.
func (s *stage) through(rule string, latency time.Duration, words string) string {
	link, err := netem.ParseWords(words)
	if err != nil {
		s.t.Fatal(err)
	}
	to, _, _ := s.r.Addrs()
	p, err := emu.NewUDPProxy(netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort(to.String()), emu.Config{Up: link, Down: link, Seed: 7})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = p.Close() })
	return strings.Replace(s.srt(rule, latency), to.String(), p.Addr().String(), 1)
}

// cbr makes the encoder send 1.2 Mbit/s, whatever the picture.
var cbr = []string{"-b:v", "1200k", "-minrate", "1200k", "-maxrate", "1200k", "-bufsize", "240k", "-x264-params", "nal-hrd=cbr"}

// conditions make, for each rule, what it speaks of. They return what ends it.
var conditions = map[string]func(s *stage, rule string) (end func()){
	"latency_unit": func(s *stage, rule string) func() { return s.encoder(s.srt(rule, 120*time.Microsecond)) },
	"latency_short": func(s *stage, rule string) func() {
		return s.encoder(s.through(rule, 150*time.Millisecond, "delay 60ms loss 3%"))
	},
	"over_capacity": func(s *stage, rule string) func() {
		return s.encoder(s.through(rule, 300*time.Millisecond, "rate 700kbit delay 10ms limit 300ms"), cbr...)
	},
	"gop_long": func(s *stage, rule string) func() {
		return s.encoder(s.srt(rule, time.Second), "-g", "300", "-sc_threshold", "0", "-x264-params", "scenecut=0")
	},
	"b_frames": func(s *stage, rule string) func() { // its destination is a way of playing over WebRTC
		return s.encoder(s.srt(rule, time.Second), "-bf", "2", "-x264-params", "b-adapt=0")
	},
	"bursts": func(s *stage, rule string) func() { // constant quality, and noise for 1.5 s of 10
		return s.encoder(s.srt(rule, time.Second), "-maxrate", "0", "-bufsize", "0", "-b:v", "0", "-crf", "23", "-vf",
			"drawbox=c=gray:t=fill:enable='not(between(mod(t,10),6,7.5))',noise=alls=60:allf=t:enable='between(mod(t,10),6,7.5)'")
	},
	"encoder_irregular": func(s *stage, rule string) func() { // a third of the pictures is missing
		return s.encoder(s.srt(rule, time.Second), "-vf", "select='not(between(mod(n,9),3,5))'", "-fps_mode", "vfr")
	},
	"audio_late": func(s *stage, rule string) func() { // what ffmpeg does by itself
		return s.encoder(s.srt(rule, time.Second), "-pes_payload_size", "2930")
	},
	"udp_buffer": func(s *stage, _ string) func() { // more datagrams at once than the buffer takes
		ctx, cancel := context.WithCancel(s.ctx)
		to, _, _ := s.r.Addrs()
		out, err := net.DialUDP("udp4", nil, to.(*net.UDPAddr))
		if err != nil {
			s.t.Fatal(err)
		}
		s.wg.Go(func() {
			defer out.Close()
			for drops := uint64(0); drops == 0 && ctx.Err() == nil; drops, _ = udpDrops([]int{to.(*net.UDPAddr).Port}) {
				for range 50_000 {
					_, _ = out.Write(make([]byte, 64))
				}
			}
		})
		return cancel
	},
	"clock_drift": func(s *stage, rule string) func() {
		ctx, cancel := context.WithCancel(s.ctx)
		to, _, _ := s.r.Addrs()
		s.wg.Go(func() { _ = publishPaced(ctx, to.String(), "live/"+rule, 1.001) })
		return cancel
	},
	"key_in_use": func(s *stage, rule string) func() {
		first, second := s.encoder(s.srt(rule, time.Second)), s.encoder(s.srt(rule, time.Second))
		return func() { first(); second() }
	},
	"destination_key_in_use": func(s *stage, rule string) func() { // somebody else has the key there
		first, second := s.encoder("rtmp://"+s.nginx+"/live/taken"), s.encoder(s.srt(rule, time.Second))
		return func() { first(); second() }
	},
	"destination_slow": func(s *stage, rule string) func() { return s.encoder(s.srt(rule, time.Second), cbr...) },
}

// The condition of every rule is made with real encoders, links, destinations and clocks, and the relay says it. What is
// nothing but as it should be has none of the sentences that follow from the stream alone.
func TestEveryRuleForReal(t *testing.T) {
	ffmpeg := need.Program(t, "ffmpeg")
	t.Parallel()
	s := &stage{t: t, ffmpeg: ffmpeg, nginx: nginx(t, need.Dir(t))}
	const well = "well"
	cfg := config.Relay{}
	for _, rule := range append(rules(t), well) {
		cfg.Key = append(cfg.Key, "live/"+rule)
	}
	link, err := netem.ParseWords("rate 300kbit")
	if err != nil {
		t.Fatal(err)
	}
	narrow, err := emu.NewTCPProxy(netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort(s.nginx), emu.Config{Up: link})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = narrow.Close() })
	cfg.Push = []string{
		"live/b_frames=rtmp://" + s.nginx + "/webrtc/b_frames",
		"live/destination_key_in_use=rtmp://" + s.nginx + "/live/taken",
		"live/destination_slow=rtmp://" + narrow.Addr().String() + "/live/slow",
	}
	flooded := &stage{t: t, r: startRelay(t, config.Relay{Key: []string{"live/udp_buffer"}}), ffmpeg: s.ffmpeg}
	s.r = startRelay(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), rulesWithin)
	s.ctx, flooded.ctx = ctx, ctx
	defer flooded.wg.Wait()
	defer s.wg.Wait()
	defer cancel()
	flooded.encoder(flooded.srt("udp_buffer", time.Second))
	s.encoder(s.srt(well, time.Second))
	end := map[string]func(){}
	for _, rule := range rules(t) {
		at := s
		if rule == "udp_buffer" {
			at = flooded
			waitStream(t, at.r, "live/udp_buffer")
		}
		end[rule] = conditions[rule](at, rule)
	}
	begun := time.Now()
	for len(end) > 0 {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			for rule := range end {
				t.Errorf("%s is not said after %v; of its stream: %q", rule, rulesWithin, said(s.r, rule))
			}
			return
		}
		for rule, stop := range end {
			at := s.r
			if rule == "udp_buffer" {
				at = flooded.r
			}
			for _, x := range at.Advice("live/" + rule) {
				if x.Rule == rule {
					t.Logf("after %2.0f s %s: %s", time.Since(begun).Seconds(), rule, x.Evidence)
					stop()
					delete(end, rule)
				}
			}
		}
	}
	for _, x := range said(s.r, well) {
		if slices.Contains([]string{"latency_unit", "gop_long", "b_frames", "bursts", "key_in_use", "destination_slow", "destination_key_in_use"}, x) { // the others are this machine's
			t.Errorf("of a stream as it should be: %s", x)
		}
	}
}

// rules are the names of all there are, which have a condition each.
func rules(t *testing.T) (out []string) {
	for _, r := range advice.Rules {
		if conditions[r.Name] == nil {
			t.Fatalf("nobody makes %s for real", r.Name)
		}
		out = append(out, r.Name)
	}
	return out
}

func said(r *Relay, rule string) (out []string) {
	for _, x := range r.Advice("live/" + rule) {
		out = append(out, x.Rule)
	}
	return out
}
