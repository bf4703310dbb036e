package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
	"github.com/fairlead-live/fairlead/bridge/relay"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

// demoConfig is what `fairlead demo` is set up with.
type demoConfig struct {
	http string
	stop time.Duration
	log  string
}

func runDemo(ctx context.Context, e env) error {
	var d demoConfig
	set := config.NewSet("demo")
	set.String(&d.http, "http", "127.0.0.1:8080", "listen `ADDR` of the player URL; when it is taken and nobody chose it, any free port")
	set.Duration(&d.stop, "stop-after", 0, "end after this long; 0s runs until Ctrl-C")
	set.String(&d.log, "log", "warn", "log `LEVEL`: debug, info, warn or error")
	if _, err := parse(e, set, "fairlead demo [SETTINGS]: publishes a clip to a relay in this process over SRT and serves it as HTTP-FLV."); err != nil {
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
	cfg := config.Relay{SRT: "127.0.0.1:0", RTMP: "127.0.0.1:0", HTTP: d.http, Key: []string{"live/demo"},
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
	srt, _, _ := r.Addrs()
	pub := &demoPublisher{addr: srt}
	wg.Go(func() {
		if err := pub.run(ctx); err != nil && ctx.Err() == nil {
			cancel(err)
		}
	})
	url := r.FLVURL("live/demo")
	fmt.Fprintf(e.stdout, "A clip runs over SRT into a relay in this process. Watch it:\n\n  %s\n\n  ffplay -fflags nobuffer %s\n  vlc %s\n\nCtrl-C ends it.\n\n", url, url, url)
	vitalSigns(ctx, e.stdout, r, pub)
	err = context.Cause(ctx)
	wg.Wait()
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || err == nil {
		fmt.Fprintln(e.stdout, "\nended")
		return nil
	}
	return err
}

// demoPublisher pushes the clip over SRT in real time. Stats may be read from anywhere.
type demoPublisher struct {
	addr net.Addr

	mu   sync.Mutex // guards conn
	conn *srtlink.Conn
}

func (p *demoPublisher) run(ctx context.Context) error {
	src, err := clip.New()
	if err != nil {
		return err
	}
	conn, err := srtlink.Dial(p.addr.String(), srtlink.DialConfig{StreamID: "publish:live/demo"})
	if err != nil {
		return err
	}
	defer conn.Close()
	p.mu.Lock()
	p.conn = conn
	p.mu.Unlock()
	mux, err := newClipMuxer(src)
	if err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	start := time.Now()
	var out []byte
	for {
		f := src.Next()
		timer.Reset(time.Until(start.Add(f.DTS)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		out = mux.AppendFrame(out[:0], f)
		if err := writeTS(conn, out); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
}

// tsPerPacket is how many transport packets fit an SRT packet: 7 · 188 = 1316 bytes, libsrt's live payload size.
const tsPerPacket = 7 * mpegts.PacketSize

func writeTS(w io.Writer, b []byte) error {
	for len(b) > 0 {
		n := min(len(b), tsPerPacket)
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// newClipMuxer makes a muxer for the clip's two tracks.
func newClipMuxer(src *clip.Source) (*mpegts.Muxer, error) {
	v, a := src.Configs()
	return mpegts.NewMuxer([]mpegts.Track{{Index: 0, Codec: media.H264, Config: v}, {Index: 1, Codec: media.AAC, Config: a}})
}

func (p *demoPublisher) stats() srtlink.Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		return srtlink.Stats{}
	}
	return p.conn.Stats()
}

// vitalSigns writes a line a second until ctx ends.
func vitalSigns(ctx context.Context, w io.Writer, r *relay.Relay, p *demoPublisher) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	start := time.Now()
	var frames, bytes uint64
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
		s := streams[0]
		st := p.stats()
		var dropped uint64
		for _, sub := range s.Subscribers {
			dropped += sub.Counts.Dropped
		}
		fmt.Fprintf(w, "%5.0fs  %3d frames/s  %4d kbit/s  SRT rtt %.1f ms, sent %d, resent %d  players %d, dropped %d\n",
			time.Since(start).Seconds(), s.Counts.Frames-frames, (s.Counts.Bytes-bytes)*8/1000,
			float64(st.RTT.Microseconds())/1000, st.Sent, st.Resent, len(s.Subscribers), dropped)
		frames, bytes = s.Counts.Frames, s.Counts.Bytes
	}
}
