// Package watch reads live streams where they come out, so that bridge/stutter can judge them: HTTP-FLV, HTTP-TS,
// RTMP, and MPEG-TS or FLV from UDP, TCP, SRT, a file or standard input.
//
// Read is the reader; Monitor feeds its frames to one meter per track. A stream's form (FLV or MPEG-TS) is
// recognised by its first bytes, not by its name.
//
// What it leaves to others: the score (bridge/stutter), printing (bench/cli).
package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// Errors of Read.
var (
	ErrScheme = errors.New("watch: unknown kind of address")
	ErrFormat = errors.New("watch: neither FLV nor MPEG-TS")
	ErrEnded  = errors.New("watch: the stream ended")
)

// Network is where sockets are opened: in this process's own network namespace (the zero value), or in another one.
type Network struct {
	Dial         func(ctx context.Context, network, address string) (net.Conn, error)
	ListenPacket func(ctx context.Context, network, address string) (net.PacketConn, error)
}

func (n Network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if n.Dial != nil {
		return n.Dial(ctx, network, address)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

func (n Network) listenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	if n.ListenPacket != nil {
		return n.ListenPacket(ctx, network, address)
	}
	var l net.ListenConfig
	return l.ListenPacket(ctx, network, address)
}

// readSize is what one read takes at most: the largest UDP datagram fits.
const readSize = 64 << 10

// Read calls emit for every frame of the stream, with its Arrival set, until ctx ends, the stream does (ErrEnded) or it
// cannot be read. It always returns an error: context.Cause(ctx), ErrEnded, or what went wrong.
//
//	http://…  https://…      FLV or MPEG-TS over HTTP
//	rtmp://…  rtmps://…      played
//	udp://HOST:PORT          MPEG-TS in datagrams, with or without RTP; listens there, joins where HOST is multicast
//	tcp://HOST:PORT          FLV or MPEG-TS
//	srt://HOST:PORT?streamid=…&latency=MS   called; not through Network
//	-                        standard input
//	PATH                     a file, read as fast as it comes; a pipe works too
//
// Goroutines: one that closes the connection when ctx ends; it is gone before Read returns.
func Read(ctx context.Context, address string, n Network, emit func(*media.Frame)) error {
	if address == "-" {
		return readStream(ctx, os.Stdin, emit)
	}
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	switch u.Scheme {
	case "http", "https":
		return readHTTP(ctx, u.String(), n, emit)
	case "udp":
		return readUDP(ctx, u, n, emit)
	case "tcp":
		c, err := n.dial(ctx, "tcp", u.Host)
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		return readStream(ctx, c, emit)
	case "rtmp", "rtmps":
		return readRTMP(ctx, address, n, emit)
	case "srt":
		return readSRT(ctx, u, emit)
	case "", "file":
		path := address
		if u.Scheme == "file" {
			path = u.Path
		}
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		return readStream(ctx, f, emit)
	}
	return fmt.Errorf("%w: %q", ErrScheme, u.Scheme)
}

func readHTTP(ctx context.Context, address string, n Network, emit func(*media.Frame)) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: n.dial, DisableCompression: true, DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		res.Body.Close()
		return fmt.Errorf("watch: GET %s: %s", address, res.Status)
	}
	return readStream(ctx, res.Body, emit)
}

// readStream takes r, whose Close must end a Read in progress.
func readStream(ctx context.Context, r io.ReadCloser, emit func(*media.Frame)) error {
	stop := closeWhenDone(ctx, r)
	defer stop()
	var p parser
	b := make([]byte, readSize)
	for {
		n, err := r.Read(b)
		if perr := p.write(time.Now(), b[:n], emit); perr != nil {
			return perr
		}
		if err != nil {
			p.flush(emit)
			return ended(ctx, err)
		}
	}
}

// closeWhenDone closes c once, when ctx ends or stop is called.
func closeWhenDone(ctx context.Context, c io.Closer) (stop func()) {
	inner, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-inner.Done()
		c.Close()
	}()
	return func() { cancel(); <-done }
}

// ended says why a stream is over.
func ended(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrEnded
	}
	return fmt.Errorf("watch: %w", err)
}
