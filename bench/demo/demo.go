package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
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

// Config sets up a Demo.
type Config struct {
	HTTP    string        // address of the page and the streams
	Link    string        // words of tc netem, each way; empty: nothing is lost
	Latency time.Duration // of both transports
	Seed    int           // of both links
	Logger  *slog.Logger  // nil: silent
}

// Buffer is of the viewer who is scored: what a low-latency player keeps.
const Buffer = time.Second

// The two ways the clip goes.
const (
	Fairlead = iota
	SRT
	ways
)

var streams = [ways]string{Fairlead: "live/fairlead", SRT: "live/srt"}

var labels = [ways]string{Fairlead: "fairlead over QUIC", SRT: "plain SRT"}

// Demo listens from Open on and runs in Run.
type Demo struct {
	cfg   Config
	relay *relay.Relay
	push  *push.Push
	links [ways]*emu.UDPProxy // nil: no lossy link here, or none was asked for
	web   net.Listener
	sides [ways]*side
	begun time.Time
}

// Open starts the links and opens what listens; config.ErrUsage is in the chain when the words of the link are wrong.
func Open(cfg Config) (_ *Demo, err error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Demo{cfg: cfg, begun: time.Now()}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.web, err = net.Listen("tcp", cfg.HTTP); err != nil {
		return nil, err
	}
	src, err := clip.New()
	if err != nil {
		return nil, err
	}
	d.relay, err = relay.Open(config.Relay{
		SRT: "127.0.0.1:0", QUIC: "127.0.0.1:0", API: "127.0.0.1:0", Key: streams[:], SRTLatency: cfg.Latency, Hold: 20 * time.Second, Log: "warn",
	}, cfg.Logger)
	if err != nil {
		return nil, err
	}
	urls, err := d.uplinks()
	if err != nil {
		return nil, err
	}
	d.push, err = push.New(push.Config{URLs: urls, Agent: "fairlead demo", Logger: cfg.Logger, Source: func() (*media.Frame, error) { return src.Next(), nil }})
	if err != nil {
		return nil, err
	}
	for i := range d.sides {
		d.sides[i] = newSide(d.begun)
	}
	return d, nil
}

// uplinks starts a link for each way and returns the addresses in front of them.
func (d *Demo) uplinks() ([]string, error) {
	srt, _, _ := d.relay.Addrs()
	quic, pin := d.relay.QUIC()
	to := [ways]net.Addr{Fairlead: quic, SRT: srt}
	near := [ways]string{quic.String(), srt.String()}
	if d.cfg.Link != "" {
		words, err := netem.ParseWords(d.cfg.Link)
		if err != nil {
			return nil, fmt.Errorf("%w: link: %w", config.ErrUsage, err)
		}
		for i := range to {
			link, err := emu.NewUDPProxy(netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort(to[i].String()), emu.Config{Up: words, Down: words, Seed: uint64(d.cfg.Seed)})
			if errors.Is(err, emu.ErrUnsupported) {
				d.cfg.Logger.Warn("this system has no lossy link; the clip goes straight to the relay")
				break
			}
			if err != nil {
				return nil, err
			}
			d.links[i], near[i] = link, link.Addr().String()
		}
	}
	return []string{
		Fairlead: fmt.Sprintf("fairlead://%s/%s?latency=%s&pin=%s", near[Fairlead], streams[Fairlead], d.cfg.Latency, pin),
		SRT:      fmt.Sprintf("srt://%s?streamid=publish:%s&latency=%s", near[SRT], streams[SRT], d.cfg.Latency),
	}, nil
}

func (d *Demo) close() {
	if d.web != nil {
		_ = d.web.Close()
	}
	if d.relay != nil && d.push == nil { // Run closes it otherwise
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = d.relay.Run(ctx)
	}
	for _, l := range d.links {
		if l != nil {
			_ = l.Close()
		}
	}
}

// Run carries, serves and scores until ctx ends or something fails; nil: ctx ended.
//
// Goroutines: the relay's, the push's and the web server's, and one that watches each stream; all are waited for.
func (d *Demo) Run(ctx context.Context) error {
	defer d.close()
	told := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	start := func(what string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); ctx.Err() == nil {
				cancel(fmt.Errorf("demo: %s: %w", what, errors.Join(err, errors.New("it ended"))))
			}
		})
	}
	start("relay", d.relay.Run)
	start("push", d.push.Run)
	start("web", d.serve)
	for i, s := range d.sides {
		start("viewer", func(ctx context.Context) error { return s.watch(ctx, d.relay.Hub(), streams[i]) })
	}
	<-ctx.Done()
	wg.Wait()
	if told.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

// PageURL is where both are seen side by side.
func (d *Demo) PageURL() string { return "http://" + d.web.Addr().String() + "/" }

// FLVURL is where a way's stream is to be had for any player.
func (d *Demo) FLVURL(way int) string { return d.PageURL() + streams[way] + ".flv" }

// RelayURL is the relay's own page.
func (d *Demo) RelayURL() string { return "http://" + d.relay.APIAddr().String() + "/" }

// Link says what the links do.
func (d *Demo) Link() string {
	switch {
	case d.cfg.Link == "":
		return "nothing is lost"
	case d.links[SRT] == nil:
		return "none: this system has no lossy link"
	}
	return d.cfg.Link
}
