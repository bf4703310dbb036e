package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/push"
	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/quiclink"
)

// Exit codes of fairlead push beyond the common ones.
const (
	exitInput   = 3 // the input cannot be read or holds no media
	exitRefused = 4 // a destination wants no stream of ours: wrong key, token or pin
	exitReach   = 5 // nobody answered at a destination
)

const pushHelp = `fairlead push [SETTINGS] INPUT URL [URL…]: send one live stream to relays and servers.

INPUT  FILE                   MPEG-TS, FLV or MP4, in real time; with --loop again and again
       -                      MPEG-TS or FLV on standard input
       rtmp://:PORT/APP/KEY   wait for a local encoder over RTMP
       srt://:PORT            wait for a local encoder over SRT (latency=120ms, passphrase=…)
       udp://:PORT            MPEG-TS over UDP
       exec:COMMAND           MPEG-TS or FLV from a program that we start and tell what bitrate to make
URL    fairlead://HOST[:4433]/APP/KEY?token=…&latency=300ms&pin=…   a fairlead relay, over QUIC
                              (where the path carries less it grows to 10 s: late instead of lost; latency=300ms..1s bounds that)
                              (MPEG-TS with other codecs than fairlead's goes as it is; passthrough=1: always, 0: never)
       srt://HOST:PORT?streamid=…&latency=300ms&passphrase=…        an SRT listener (packetfilter=…, maxbw=6M …)
       rtmp(s)://HOST/APP/KEY                                       an RTMP server
       URL|URL|…                                                    one destination: the first of them that works

Exit codes: 0 the input has ended and everything is sent, or Ctrl-C; 1 something else failed; 2 wrong words;
3 the input cannot be read; 4 a destination refused; 5 a destination cannot be reached.`

func runPush(ctx context.Context, e env) error {
	var stats, level, format, control, rate, least, most string
	cfg := push.Config{Stdin: os.Stdin, Agent: "fairlead push"}
	set := config.NewSet("push")
	set.Bool(&cfg.Loop, "loop", false, "a file again and again")
	set.Duration(&cfg.Connect, "connect", 10*time.Second, "how long to try to reach a destination at first")
	set.String(&cfg.SRTCaller, "srt-caller", "own", "`WHO` speaks SRT to srt:// destinations: own, or gosrt, which is kept for comparison")
	set.String(&stats, "stats", "", "`json`: a line of JSON a second for each destination on standard output")
	set.String(&cfg.HTTP, "http", "", "HTTP listen `ADDR`: GET /v1/streams/APP/KEY/feedback says what the encoder should make")
	set.Bool(&cfg.Encoder.Shape, "shape", false, "read rtmp:// no faster than the path carries, so that an encoder with dynamic bitrate lowers itself")
	set.String(&control, "exec-control", "auto", "`HOW` exec: takes a new bitrate: stdin, restart, switch, none, or auto: restart where its command has {bitrate}")
	set.String(&rate, "bitrate", "2.5M", "`BITRATE` of the pictures that exec: begins with")
	set.String(&least, "min-bitrate", "300k", "lowest `BITRATE` that exec: is asked for")
	set.String(&most, "max-bitrate", "6M", "highest `BITRATE` that exec: is asked for")
	set.String(&level, "log", "warn", "log `LEVEL`: debug, info, warn or error")
	set.String(&format, "log-format", "text", "`FORM` of the log: text or json, an object a line")
	rest, err := parse(e, set, pushHelp)
	if err != nil {
		return err
	}
	if len(rest) < 2 {
		return fmt.Errorf("%w: fairlead push INPUT URL [URL…]; fairlead push --help says more", config.ErrUsage)
	}
	if cfg.SRTCaller != "own" && cfg.SRTCaller != "gosrt" {
		return fmt.Errorf("%w: srt-caller: %q is neither own nor gosrt", config.ErrUsage, cfg.SRTCaller)
	}
	if format != "text" && format != "json" {
		return fmt.Errorf("%w: log-format: %q is neither text nor json", config.ErrUsage, format)
	}
	if stats != "" && stats != "json" {
		return fmt.Errorf("%w: stats: %q is not json", config.ErrUsage, stats)
	}
	if cfg.Encoder.Control, err = push.ParseControl(control); err != nil {
		return err
	}
	for _, r := range [...]struct {
		word, value string
		to          *congestion.Bitrate
	}{{"bitrate", rate, &cfg.Encoder.Start}, {"min-bitrate", least, &cfg.Encoder.Min}, {"max-bitrate", most, &cfg.Encoder.Max}} {
		if *r.to, err = quiclink.ParseRate(r.value); err != nil {
			return fmt.Errorf("%w: %s: %w", config.ErrUsage, r.word, err)
		}
	}
	cfg.Input, cfg.URLs, cfg.Logger = rest[0], rest[1:], newLogger(e.stderr, level, format)
	p, err := push.New(cfg)
	if err != nil {
		return ended(e, err)
	}
	if at := p.Listening(); at != nil {
		fmt.Fprintf(e.stderr, "fairlead: waiting for the encoder at %s\n", at)
	}
	if at := p.HTTP(); at != nil {
		fmt.Fprintf(e.stderr, "fairlead: feedback at http://%s/v1/streams/%s/feedback\n", at, p.Name())
	}
	var wg sync.WaitGroup
	watching, stop := context.WithCancel(context.WithoutCancel(ctx)) // after an interrupt there is still something to say
	switch {
	case stats == "json":
		wg.Go(func() { eachSecond(watching, p, jsonLines(e.stdout)) })
	case isTerminal(e.stderr):
		wg.Go(func() { eachSecond(watching, p, statusLine(e.stderr)) })
	}
	err = p.Run(ctx)
	stop()
	wg.Wait()
	return ended(e, err)
}

// ended prints a failure of package push and gives it its exit code.
func ended(e env, err error) error {
	for _, c := range [...]struct {
		kind error
		code exitCode
	}{{push.ErrRefused, exitRefused}, {push.ErrReach, exitReach}, {push.ErrInput, exitInput}} {
		if errors.Is(err, c.kind) {
			fmt.Fprintf(e.stderr, "fairlead push: %v\n", err)
			return c.code
		}
	}
	return err
}

// isTerminal reports whether w shows a line to a person.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// eachSecond calls show with the snapshots of this second and the one before, and once more at the end.
func eachSecond(ctx context.Context, p *push.Push, show func(now, before []push.Status, d time.Duration, last bool)) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before, at := p.Status(), time.Now()
	for last := false; !last; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			last = true
		}
		now := p.Status()
		show(now, before, time.Since(at), last)
		before, at = now, time.Now()
	}
}

func bitsPerSecond(now, before uint64, d time.Duration) float64 {
	return float64(now-min(now, before)) * 8 / max(d.Seconds(), 0.01)
}

// lossRatio is the share of source packets that did not arrive at first sending, 0..1, of those that the relay has told of in this
// second: what has been sent in it is known later.
func lossRatio(now, before push.Status) float64 {
	gone := func(s push.Status) uint64 { return s.RecoveredFEC + s.RecoveredResend + s.Late + s.Lost }
	lost, all := gone(now)-gone(before), gone(now)+now.Delivered-gone(before)-before.Delivered
	if gone(now) <= gone(before) || now.Delivered < before.Delivered {
		return 0
	}
	return float64(lost) / float64(all)
}

// statusLine writes one line over and over, one more for each further destination.
func statusLine(w io.Writer) func(now, before []push.Status, d time.Duration, last bool) {
	drawn := false
	return func(now, before []push.Status, d time.Duration, last bool) {
		if drawn {
			fmt.Fprintf(w, "\x1b[%dA", len(now))
		}
		drawn = true
		for i := range now {
			fmt.Fprintf(w, "\r\x1b[K%s\n", describe(now[i], before[i], d))
		}
	}
}

// describe is one destination's second in words.
func describe(s, before push.Status, d time.Duration) string {
	line := fmt.Sprintf("%s  %s  %.0f kbit/s", s.To, s.State, bitsPerSecond(s.SendBytes, before.SendBytes, d)/1000)
	if s.HasPath {
		line += fmt.Sprintf("  rtt %d ms  loss %.1f %%  recovered fec %d resend %d  late %d  lost %d  target %d kbit/s",
			s.RTT.Milliseconds(), 100*lossRatio(s, before), s.RecoveredFEC, s.RecoveredResend, s.Late, s.Lost, s.Target/1000)
	}
	if !s.HasPath && s.Target > 0 {
		line += fmt.Sprintf("  rtt %d ms  resent %d of %d  target %d kbit/s", s.RTT.Milliseconds(), s.Resent, s.Packets, s.Target/1000)
	}
	if s.Detour != "" {
		line += "  because " + s.Detour
	}
	if s.Skipped > 0 {
		line += fmt.Sprintf("  skipped of the input %d", s.Skipped)
	}
	if s.Unsent > 0 {
		line += fmt.Sprintf("  dropped here %d", s.Unsent)
	}
	return line
}

// jsonLines writes an object a destination.
func jsonLines(w io.Writer) func(now, before []push.Status, d time.Duration, last bool) {
	enc := json.NewEncoder(w)
	return func(now, before []push.Status, d time.Duration, _ bool) {
		for i, s := range now {
			line := map[string]any{
				"time": time.Now().UTC().Format(time.RFC3339Nano), "to": s.To, "state": s.State, "send_bps": int64(bitsPerSecond(s.SendBytes, before[i].SendBytes, d)),
				"send_bytes": s.SendBytes, "frames_sent": s.FramesSent, "unsent": s.Unsent, "skipped": s.Skipped, "reconnects": s.Reconnects,
				"rtt_ms": float64(s.RTT.Microseconds()) / 1000, "input_bps": int64(bitsPerSecond(s.InputBytes, before[i].InputBytes, d)),
			}
			if s.Detour != "" {
				line["detour"] = s.Detour
			}
			if s.HasPath {
				line["carriage"], line["loss_ratio"], line["packets"] = s.Carriage, lossRatio(s, before[i]), s.Packets
				line["recovered_fec"], line["recovered_resend"], line["late"], line["lost"] = s.RecoveredFEC, s.RecoveredResend, s.Late, s.Lost
				line["frames_delivered"], line["frames_lost"], line["target_bps"] = s.FramesDelivered, s.FramesLost, s.Target
				line["resent"], line["parity"] = s.Resent, s.Parity
				line["feedback_packets"], line["feedback_bytes"], line["feedback_ratio"] = s.Feedback, s.FeedbackBytes, feedbackRatio(s, before[i])
			}
			if !s.HasPath && s.Target > 0 { // SRT
				line["packets"], line["resent"], line["parity"], line["target_bps"] = s.Packets, s.Resent, s.Parity, s.Target
			}
			_ = enc.Encode(line)
		}
	}
}

// feedbackRatio is what the relay's reports took of late, as a share of what was sent.
func feedbackRatio(now, before push.Status) float64 {
	sent, back := now.SendBytes-min(now.SendBytes, before.SendBytes), now.FeedbackBytes-min(now.FeedbackBytes, before.FeedbackBytes)
	if sent == 0 {
		return 0
	}
	return math.Round(1e4*float64(back)/float64(sent)) / 1e4
}
