package show

import (
	"fmt"
	"time"

	"github.com/fairlead-live/fairlead/bench/cc"
	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/session"
	"github.com/fairlead-live/fairlead/transport/srt"
	"github.com/fairlead-live/fairlead/transport/srt/adapt"
)

// Schemes are those that come with the package, in the order of the help text. plans may be nil: then repairs go without.
func Schemes(plans Plans) []Scheme {
	belacoder := func(latency time.Duration) srt.CallerConfig {
		c := Libsrt()
		c.Latency, c.MaxBW, c.Overhead = latency, srt.Relative, 20 // belacoder.c: SRTO_MAXBW 0, SRTO_OHEADBW 20
		return c
	}
	rule := func(r adapt.Range) adapt.Rule { return adapt.NewBelacoder(r) }
	most := func(d time.Duration) func(*session.Config) {
		return func(c *session.Config) { c.MaxLatency = max(c.Latency, d) }
	}
	return []Scheme{
		Fairlead("fairlead", "the session of the QUIC uplink under its controller, at constant latency: latency=300ms..300ms", plans, nil),
		Fairlead("fairlead-1s", "the same, and the latency may grow to 1 s where the link carries less than the stream", plans, most(time.Second)),
		Fairlead("fairlead-3s", "the same with 3 s", plans, most(3*time.Second)),
		Fairlead("fairlead-5s", "the same with 5 s", plans, most(5*time.Second)),
		Fairlead("fairlead-uncontrolled", "the session at a fixed 30 Mbit/s instead of a controller: what repair alone does", plans, func(c *session.Config) {
			c.Controller = &congestion.Fixed{Rate: 30 * congestion.Mbps}
		}),
		Fairlead("fairlead-10s", "the same with 10 s: what fairlead push does unless it is told otherwise", plans, most(10*time.Second)),
		Fairlead("fairlead-inorder", "fairlead-10s whose frames are released as soon as they are in order, as TCP does: inorder=1", plans, func(c *session.Config) {
			most(10 * time.Second)(c)
			c.InOrder = true
		}),
		SRT("srt", "SRT as libsrt's live mode does it; tells the encoder nothing", Libsrt(), nil),
		SRT("srt-belacoder", "the same, the encoder driven by belacoder's rule", belacoder(0), rule),
		SRT("srt-belacoder-2s", "the same with 2 s of latency, belacoder's default", belacoder(2*time.Second), rule),
		SRT("srt-moblin", "SRT with Moblin's form of that rule", Libsrt(), func(r adapt.Range) adapt.Rule { return adapt.NewMoblinBelabox(r) }),
		SRT("srt-moblin-fight", "SRT with Moblin's own rule", Libsrt(), func(r adapt.Range) adapt.Rule { return adapt.NewMoblinFight(r) }),
		SRT("srt-push", "fairlead push to an SRT listener: its resends, and its rule for the encoder", srt.CallerConfig{}, func(r adapt.Range) adapt.Rule { return adapt.NewDelay(r) }),
		RIST("rist", "RIST as libRIST's main profile does it; tells the encoder nothing"),
		RTMP("rtmp-bbr", "FLV over a model of TCP with BBR, nothing dropped; tells the encoder nothing", cc.BBR, false, 0),
		RTMP("rtmp-bbr-10s", "rtmp-bbr that drops what has waited 10 s, up to the next key frame: the bound that fairlead-10s has", cc.BBR, false, 10*time.Second),
		RTMP("rtmp-bbr-obs", "the same, the encoder driven by OBS's dynamic bitrate", cc.BBR, true, 0),
		RTMP("rtmp-cubic", "FLV over a model of TCP with CUBIC", cc.Cubic, false, 0),
		RTMP("rtmp-cubic-obs", "the same, the encoder driven by OBS's dynamic bitrate", cc.Cubic, true, 0),
	}
}

// Choose finds schemes by name.
func Choose(all []Scheme, names []string) (out []Scheme, err error) {
next:
	for _, n := range names {
		for _, s := range all {
			if s.Name == n {
				out = append(out, s)
				continue next
			}
		}
		return nil, fmt.Errorf("show: no scheme %q", n)
	}
	return out, nil
}
