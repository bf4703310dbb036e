package main

import (
	"context"
	"fmt"
	"net"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/relay"
)

func runRelay(ctx context.Context, e env) error {
	if len(e.args) > 0 && e.args[0] == "token" {
		e.args = e.args[1:]
		return runToken(e)
	}
	var cfg config.Relay
	set := config.NewSet("relay")
	cfg.Bind(set)
	rest, err := parse(e, set, "fairlead relay [SETTINGS]: a relay for SRT, QUIC and RTMP publishers. It needs no settings.\nfairlead relay token APP/KEY: make an expiring token for auth-secret; its own --help says more.")
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: fairlead relay takes no argument, got %q", config.ErrUsage, rest[0])
	}
	r, err := relay.Open(cfg, newLogger(e.stderr, cfg.Log))
	if err != nil {
		return err
	}
	r.WriteURLs(e.stdout)
	srt, rtmp, http := r.Addrs()
	quic, _ := r.QUIC()
	fmt.Fprintf(e.stdout, "fairlead: ready srt=%s rtmp=%s http=%s quic=%s\n", addr(srt), addr(rtmp), addr(http), addr(quic))
	return r.Run(ctx)
}

func addr(a net.Addr) string {
	if a == nil {
		return "off"
	}
	return a.String()
}
