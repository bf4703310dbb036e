package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/relay"
)

// gcPercent is how much garbage a relay lets come together, beside what is in use: nearly all of that is media, which costs nothing to look
// through, and in steady state nothing is allocated. 30 streams of 4 Mbit/s take 1.0 MB each, with 25 1.1 MB, at the same CPU time. GOGC in the environment
// goes before it.
const gcPercent = 10

func runRelay(ctx context.Context, e env) error {
	if len(e.args) > 0 && e.args[0] == "token" {
		e.args = e.args[1:]
		return runToken(e)
	}
	var cfg config.Relay
	check := false
	set := config.NewSet("relay")
	cfg.Bind(set)
	set.Bool(&check, "check", false, "read the settings, say whether they are right, and end")
	rest, err := parse(e, set, "fairlead relay [SETTINGS]: a relay for SRT, QUIC and RTMP publishers. It needs no settings.\nfairlead relay token APP/KEY: make an expiring token for auth-secret; its own --help says more.")
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: fairlead relay takes no argument, got %q", config.ErrUsage, rest[0])
	}
	if check {
		if err := cfg.Validate(); err != nil {
			return err
		}
		fmt.Fprintln(e.stdout, "fairlead: the settings are right")
		return nil
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	log := newLogger(e.stderr, cfg.Log, cfg.LogFormat)
	sayFewDescriptors(log, cfg.Connections)
	r, err := relay.Open(cfg, log)
	if err != nil {
		return err
	}
	again := func(read func(*config.Set) error) (config.Relay, error) {
		var next config.Relay
		set := config.NewSet("relay")
		next.Bind(set)
		set.Bool(new(bool), "check", false, "")
		return next, read(set)
	}
	r.Configure(func(yaml []byte) (config.Relay, error) {
		return again(func(s *config.Set) error { return s.ParseFile(e.args, e.environ, yaml) })
	})
	defer onHangup(func() {
		next, err := again(func(s *config.Set) error { _, err := s.Parse(e.args, e.environ); return err })
		if err == nil {
			_, err = r.Reload(next)
		}
		if err != nil {
			log.Error("the new configuration is wrong; the old one runs on", "err", strings.TrimPrefix(err.Error(), "usage: "))
		}
	})()
	r.WriteURLs(e.stdout)
	srt, rtmp, http := r.Addrs()
	quic, _ := r.QUIC()
	fmt.Fprintf(e.stdout, "fairlead: ready srt=%s rtmp=%s http=%s quic=%s\n", addr(srt), addr(rtmp), addr(http), addr(quic))
	n := newNotifier(e.environ)
	n.say("READY=1")
	defer context.AfterFunc(ctx, func() { n.say("STOPPING=1") })()
	watching, stop := context.WithCancel(context.WithoutCancel(ctx)) // while it drains, too
	var wg sync.WaitGroup
	wg.Go(func() { n.watch(watching, func() { r.Streams() }) })
	err = r.Run(ctx)
	stop()
	wg.Wait()
	return err
}

// sayFewDescriptors warns where the system's limit comes before the relay's own: a listener that runs out of descriptors accepts nobody.
func sayFewDescriptors(log *slog.Logger, connections int) {
	wanted := uint64(2*connections + spareDescriptors) // RTMP has as many as HTTP
	if n, known := descriptors(); known && n < wanted {
		log.Warn("few file descriptors: raise the limit (ulimit -n, LimitNOFILE=, docker run --ulimit nofile=…), or lower connections", "limit", n, "wanted", wanted)
	}
}

// spareDescriptors are for destinations, the API, sockets and files. Ours.
const spareDescriptors = 512

func addr(a net.Addr) string {
	if a == nil {
		return "off"
	}
	return a.String()
}
