// Package srtlink carries MPEG-TS over SRT: a listener for publishers and a caller that publishes (transport/srt and a socket,
// or gosrt's), and a caller that plays, on gosrt.
//
// Our listener takes SRTLA (several links below one SRT connection) on the same port.
//
// SRT is the "Secure Reliable Transport" draft (draft-sharabayko-srt-01). Latency is in milliseconds on the wire
// and in libsrt's tools; ffmpeg and OBS take microseconds in their URLs.
//
// What it leaves to others: what is in the packets (bridge/ingest), who may publish (Config.Admit).
package srtlink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Bounds of a listener.
const (
	// DefaultLatency is libsrt's own default (SRTO_LATENCY 120 ms).
	DefaultLatency = 120 * time.Millisecond
	// MaxPayload is the largest SRT payload: 1500 - IP, UDP and SRT headers.
	MaxPayload = 1456
)

// Implementations of the listener and of the caller.
const (
	Own   = "own"
	GoSRT = "gosrt"
)

// Request is what a caller says of itself.
type Request struct {
	StreamID  StreamID
	Peer      netip.AddrPort
	Encrypted bool
}

// Config sets up a listener.
type Config struct {
	Addr       string        // host:port, UDP
	Latency    time.Duration // receiver latency; the larger of ours and the peer's holds. DefaultLatency
	Passphrase string        // empty: unencrypted; 10 to 79 characters: callers must have it
	MaxConns   int           // 1,000
	Logger     *slog.Logger
	Listener   string // Own or GoSRT; empty: Own
	// MigrateClear lets unencrypted callers too go on from another address (a NAT that changes ports, a phone that changes
	// networks) without a new handshake. Encrypted ones always may. Own only.
	MigrateClear bool

	// Loops is how many sockets share the port, each with a loop that owns the connections of the peers that come to it; Own on Linux
	// only. 0: one for each four processors; at most MaxLoops.
	Loops int

	// AnyStreamID takes callers with whatever stream id or none, as publishers; Request.StreamID then is zero but for Publish.
	AnyStreamID bool

	// Admit decides about a caller before it is answered. An error turns it away, with its own code if it is a
	// *Rejection, else with CodeForbidden. The function it returns is called exactly once, in its own goroutine, and
	// owns the connection until it returns; conn is nil when the handshake was not completed after all.
	Admit func(Request) (func(ctx context.Context, conn *Conn), error)
	// Refused, when set, is told of every caller that is turned away, by Admit or before it. It must not wait.
	Refused func(*Rejection)
}

// streamID is what a caller wants of this listener.
func (c *Config) streamID(s string) (StreamID, error) {
	if c.AnyStreamID {
		return StreamID{Publish: true}, nil
	}
	return ParseStreamID(s)
}

// Validate names the field that cannot work.
func (c *Config) Validate() error {
	if n := len(c.Passphrase); n > 0 && (n < 10 || n > 79) {
		return fmt.Errorf("srt passphrase: %d characters; SRT wants 10 to 79", n)
	}
	if c.Latency < 0 || c.Latency > time.Minute {
		return fmt.Errorf("srt latency: %v is outside 0s to 1m", c.Latency)
	}
	if c.Loops < 0 || c.Loops > MaxLoops {
		return fmt.Errorf("srt loops: %d is outside 0 to %d", c.Loops, MaxLoops)
	}
	if c.Listener != "" && c.Listener != Own && c.Listener != GoSRT {
		return fmt.Errorf("srt listener: %q is neither %q nor %q", c.Listener, Own, GoSRT)
	}
	return nil
}

func (c *Config) refused(r *Rejection) {
	if c.Refused != nil {
		c.Refused(r)
	}
}

// Drop is how many datagrams were dropped for a reason: one of package srt's, "srtla" (a packet of SRTLA's own that meant nothing) or "loop_full" (what
// another loop was to have, and had no room for).
type Drop struct {
	Reason string
	Count  uint64
}

// Listener accepts SRT callers.
type Listener struct{ server }

type server interface {
	// Addr returns the address listened on.
	Addr() net.Addr
	// Serve admits callers until ctx ends, then closes every connection and waits for its function.
	Serve(ctx context.Context) error
	// Drops counts datagrams that belonged to no connection, and those that were lost on the way to one here; up to statsEvery old.
	Drops() []Drop
}

// Listen opens the socket.
func Listen(cfg Config) (*Listener, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Latency = cmp.Or(cfg.Latency, DefaultLatency)
	cfg.MaxConns = cmp.Or(cfg.MaxConns, 1000)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	var s server
	var err error
	if cfg.Listener == GoSRT {
		s, err = listenGoSRT(cfg)
	} else {
		s, err = listenOwn(cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("srt: listen on %s: %w", cfg.Addr, err)
	}
	return &Listener{s}, nil
}

// rejection is what a caller is told, and the log, for an error of admission.
func rejection(err error) *Rejection {
	r, ok := errors.AsType[*Rejection](err)
	if !ok {
		r = &Rejection{CodeForbidden, err.Error()}
	}
	return r
}
