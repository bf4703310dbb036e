package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bench/emu"
	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/push"
	"github.com/fairlead-live/fairlead/bridge/relay"
)

// demoLink is a mobile uplink on a bad day: 60 ms round trip; packets are lost in bursts of two on average, 5 % of all,
// each way (gemodel: 2.6 % of good packets begin a burst, half of bad ones end it).
const demoLink = "delay 30ms loss gemodel 2.6% 50%"

// demoConfig is what `fairlead demo` is set up with.
type demoConfig struct {
	http    string
	link    string
	latency time.Duration
	stop    time.Duration
	log     string
}

func runDemo(ctx context.Context, e env) error {
	var d demoConfig
	set := config.NewSet("demo")
	set.String(&d.http, "http", "127.0.0.1:8080", "listen `ADDR` of the player URL; when it is taken and nobody chose it, any free port")
	set.String(&d.link, "link", demoLink, "what the uplink does to packets, in the `WORDS` of tc netem; empty: nothing")
	set.Duration(&d.latency, "latency", 500*time.Millisecond, "of the uplink: the time repairs have")
	set.Duration(&d.stop, "stop-after", 0, "end after this long; 0s runs until Ctrl-C")
	set.String(&d.log, "log", "warn", "log `LEVEL`: debug, info, warn or error")
	if _, err := parse(e, set, "fairlead demo [SETTINGS]: pushes a clip over QUIC and a lossy link to a relay in this process and serves it as HTTP-FLV."); err != nil {
		return err
	}
	if d.stop > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.stop)
		defer cancel()
	}
	return d.run(ctx, e)
}

func (d *demoConfig) run(ctx context.Context, e env) error {
	cfg := config.Relay{QUIC: "127.0.0.1:0", RTMP: "127.0.0.1:0", HTTP: d.http, Key: []string{"live/demo"},
		SRTLatency: 120 * time.Millisecond, Hold: 20 * time.Second, Log: d.log}
	log := newLogger(e.stderr, d.log)
	r, err := relay.Open(cfg, log)
	if err != nil && d.http == "127.0.0.1:8080" {
		cfg.HTTP = "127.0.0.1:0"
		r, err = relay.Open(cfg, log)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() { cancel(r.Run(ctx)) })
	link, p, err := d.uplink(e, r)
	if err != nil {
		cancel(nil)
		wg.Wait()
		return err
	}
	if link != nil {
		defer func() { _ = link.Close() }()
	}
	p.Logger = log
	pusher, err := push.New(p)
	if err != nil {
		cancel(nil)
		wg.Wait()
		return err
	}
	wg.Go(func() {
		if err := pusher.Run(ctx); err != nil && ctx.Err() == nil {
			cancel(err)
		}
	})
	url := r.FLVURL("live/demo")
	fmt.Fprintf(e.stdout, "A clip runs over QUIC and a lossy link into a relay in this process. Watch it:\n\n  %s\n\n  ffplay -fflags nobuffer %s\n  vlc %s\n\nThe link: %s. Latency: %v. Ctrl-C ends it.\n\n",
		url, url, url, d.link, d.latency)
	vitalSigns(ctx, e.stdout, r, pusher, link)
	err = context.Cause(ctx)
	wg.Wait()
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || err == nil {
		fmt.Fprintln(e.stdout, "\nended")
		return nil
	}
	return err
}

// uplink is the link in front of the relay, nil if there is none, and a push of the clip through it.
func (d *demoConfig) uplink(e env, r *relay.Relay) (*emu.UDPProxy, push.Config, error) {
	src, err := clip.New()
	if err != nil {
		return nil, push.Config{}, err
	}
	addr, _ := r.QUIC()
	url := strings.Replace(r.QUICURL("live/demo"), "latency=300ms", "latency="+d.latency.String(), 1)
	p := push.Config{URLs: []string{url}, Agent: "fairlead demo", Source: func() (*media.Frame, error) { return src.Next(), nil }}
	if d.link == "" {
		return nil, p, nil
	}
	words, err := netem.ParseWords(d.link)
	if err != nil {
		return nil, p, fmt.Errorf("%w: link: %w", config.ErrUsage, err)
	}
	link, err := emu.NewUDPProxy(netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort(addr.String()), emu.Config{Up: words, Down: words, Seed: 1})
	if errors.Is(err, emu.ErrUnsupported) {
		fmt.Fprintln(e.stderr, "fairlead: this system has no lossy link; the clip goes straight to the relay")
		d.link = "none"
		return nil, p, nil
	}
	if err != nil {
		return nil, p, err
	}
	p.URLs[0] = strings.Replace(url, addr.String(), link.Addr().String(), 1)
	return link, p, nil
}

// vitalSigns writes a line a second until ctx ends: what the link lost, what was repaired, what the viewer lacks.
func vitalSigns(ctx context.Context, w io.Writer, r *relay.Relay, p *push.Push, link *emu.UDPProxy) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	start := time.Now()
	var frames, bytes, sent, lost uint64
	var before push.Status
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		streams := r.Streams()
		if len(streams) == 0 {
			continue
		}
		s, st := streams[0], p.Status()[0]
		line := fmt.Sprintf("%5.0fs  %3d frames/s  %4d kbit/s  rtt %.0f ms", time.Since(start).Seconds(),
			s.Counts.Frames-frames, (s.Counts.Bytes-bytes)*8/1000, float64(st.RTT.Microseconds())/1000)
		if link != nil {
			up, _ := link.Counters()
			gone := up.Dropped[netem.Lost]
			line += fmt.Sprintf("  link lost %d of %d packets", gone-lost, up.Admitted-sent)
			lost, sent = gone, up.Admitted
		}
		line += fmt.Sprintf("  repaired %d (FEC %d, resends %d)  frames lost %d  players %d",
			st.RecoveredFEC+st.RecoveredResend-before.RecoveredFEC-before.RecoveredResend, st.RecoveredFEC-before.RecoveredFEC,
			st.RecoveredResend-before.RecoveredResend, st.FramesLost, len(s.Subscribers))
		fmt.Fprintln(w, line)
		frames, bytes, before = s.Counts.Frames, s.Counts.Bytes, st
	}
}
