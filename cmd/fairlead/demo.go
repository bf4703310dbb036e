package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/fairlead-live/fairlead/bench/demo"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/page"
)

// demoLink is a phone far away on a bad day: a round trip of 150 ms, one packet in ten lost each way. Two round trips of latency
// leave SRT one resend, which is lost one time in ten; docs/repair.md has where which of the two is better.
const demoLink = "delay 75ms loss 10%"

// demoHTTP is where the demo's page is, unless something else is.
const demoHTTP = "127.0.0.1:8080"

func runDemo(ctx context.Context, e env) error {
	var cfg demo.Config
	var duration time.Duration
	var level string
	set := config.NewSet("demo")
	set.String(&cfg.HTTP, "http", demoHTTP, "listen `ADDR` of the page; when it is taken and nobody chose it, any free port")
	set.String(&cfg.Link, "link", demoLink, "what the uplink does to packets, in the `WORDS` of tc netem; empty: nothing")
	set.Duration(&cfg.Latency, "latency", 300*time.Millisecond, "of both ways: the time repairs have")
	set.Int(&cfg.Seed, "seed", 1, "`N` of both links' losses")
	set.Duration(&duration, "duration", 0, "end after this long; 0s runs until Ctrl-C")
	set.String(&level, "log", "warn", "log `LEVEL`: debug, info, warn or error")
	if _, err := parse(e, set, "fairlead demo [SETTINGS]: the same clip twice through the same losses, as plain SRT and as fairlead, side by side with how long each stood still."); err != nil {
		return err
	}
	if duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, duration)
		defer cancel()
	}
	cfg.Logger = newLogger(e.stderr, level, "text")
	d, err := demo.Open(cfg)
	if err != nil && cfg.HTTP == demoHTTP {
		cfg.HTTP = "127.0.0.1:0"
		d, err = demo.Open(cfg)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "The same clip twice, as plain SRT and as fairlead over QUIC, each through a link of its own that loses the same\npackets, into a relay in this process. Side by side:\n\n  %s\n\nor one at a time, in any player:\n\n", d.PageURL())
	for _, way := range []int{demo.Fairlead, demo.SRT} {
		fmt.Fprintf(e.stdout, "  ffplay -fflags nobuffer %s\n", d.FLVURL(way))
	}
	fmt.Fprintf(e.stdout, "\nThe link: %s. Latency of both: %v. The relay's own page: %s\nCtrl-C ends it. Stalls of a viewer who buffers %v:\n\n", d.Link(), cfg.Latency, d.RelayURL(), demo.Buffer)
	if !page.Built() {
		fmt.Fprint(e.stdout, "(This binary was built without Node, and so without the page: the figures are here.)\n\n")
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	if err := scores(e.stdout, d, ended); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, "\nended")
	return nil
}

// scores writes a line every two seconds until the demo ends.
func scores(w io.Writer, d *demo.Demo, ended <-chan error) error {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case now := <-tick.C:
			s := d.Score(now)
			fmt.Fprintln(w, s.Line())
		}
	}
}
