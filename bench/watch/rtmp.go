package watch

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
)

// rtmpOpening is how long a server may take until it answers play.
const rtmpOpening = 10 * time.Second

// readRTMP plays a stream.
func readRTMP(ctx context.Context, address string, n Network, emit func(*media.Frame)) error {
	target, err := rtmp.ParseURL(address)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	conn, err := n.dial(ctx, "tcp", net.JoinHostPort(target.Host, target.Port))
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	if target.TLS {
		conn = tls.Client(conn, &tls.Config{ServerName: target.Host})
	}
	stop := closeWhenDone(ctx, conn)
	defer stop()
	random := make([]byte, rtmp.RandomSize)
	_, _ = rand.Read(random) // never fails
	p := rtmpPlayer{client: rtmp.NewClient(rtmp.ClientConfig{Target: target, Play: true, Random: random})}
	_ = conn.SetReadDeadline(time.Now().Add(rtmpOpening))
	b := make([]byte, readSize)
	for {
		if out := p.client.Output(); len(out) > 0 {
			if _, err := conn.Write(out); err != nil {
				return ended(ctx, err)
			}
		}
		k, err := conn.Read(b)
		if perr := p.feed(time.Now(), b[:k], emit); perr != nil {
			return fmt.Errorf("watch: %w", perr)
		}
		if err != nil {
			return ended(ctx, err)
		}
		if p.client.Ready() {
			_ = conn.SetReadDeadline(time.Time{})
		}
	}
}

// rtmpPlayer makes frames of what a server sends. Owned by one goroutine.
type rtmpPlayer struct {
	client *rtmp.Client
	flv    flvParser
	begun  bool
	last   int64 // unwrapped ms
}

// feed takes bytes from the server; its answers are in client.Output afterwards.
func (p *rtmpPlayer) feed(now time.Time, b []byte, emit func(*media.Frame)) error {
	for {
		ev, n, err := p.client.Feed(b)
		b = b[n:]
		if err != nil {
			return err
		}
		if ev.Kind == rtmp.EventNone {
			return nil
		}
		if ev.Kind != rtmp.EventMedia {
			continue
		}
		for m := range ev.Message.Parts() {
			if m.Type == rtmp.TypeAudio || m.Type == rtmp.TypeVideo {
				p.flv.tag(now, flv.TagType(m.Type), p.unwrap(m.Timestamp), m.Payload, emit)
			}
		}
	}
}

// unwrap makes one clock of 32-bit milliseconds (RTMP 1.0 §5.3.1: they roll over every 49 days).
func (p *rtmpPlayer) unwrap(ms uint32) time.Duration {
	if !p.begun {
		p.begun, p.last = true, int64(ms)
	}
	p.last += int64(int32(ms - uint32(p.last)))
	return time.Duration(p.last) * time.Millisecond
}
