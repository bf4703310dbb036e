package run

import (
	"context"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bench/emu"
	"github.com/fairlead-live/fairlead/bench/watch"
)

// send plays the clip into the scheme.
func (c *cell) send(ctx context.Context, start time.Time) (lateness, error) {
	if c.stdin != nil {
		c.backlog = newBacklog(c.stdin, c.clip)
		defer c.backlog.close()
		return c.clip.play(ctx, start, c.backlog)
	}
	in := c.words.Replace(c.scheme.MediaIn)
	if strings.HasPrefix(in, "rtmp://") {
		p := newPublisher(c.clip, c.follower)
		c.wg.Go(func() { c.publishing = p.run(ctx, networkOf(c.pair, emu.Near), in) })
		return p.play(ctx, start, c.clip)
	}
	u, err := url.Parse(in)
	if err != nil {
		return nil, err
	}
	conn, err := networkOf(c.pair, emu.Near).Dial(ctx, "udp", u.Host)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if c.follower != nil {
		return c.follower.play(ctx, start, c.clip, lossy{conn}, c.recorder.keyed)
	}
	return c.clip.play(ctx, start, lossy{conn})
}

// lossy is a UDP socket whose far end may not be there yet: what it refuses is lost.
type lossy struct{ net.Conn }

func (l lossy) Write(b []byte) (int, error) {
	_, _ = l.Conn.Write(b)
	return len(b), nil
}

// far opens sockets on the far side.
func (c *cell) far() watch.Network { return networkOf(c.pair, emu.Far) }

func networkOf(pair *emu.Pair, side emu.Side) watch.Network {
	return watch.Network{
		Dial: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			derr := pair.Do(side, func() error {
				var d net.Dialer
				conn, err = d.DialContext(ctx, network, address)
				return err
			})
			return conn, derr
		},
		ListenPacket: func(ctx context.Context, network, address string) (conn net.PacketConn, err error) {
			derr := pair.Do(side, func() error {
				var l net.ListenConfig
				conn, err = l.ListenPacket(ctx, network, address)
				return err
			})
			return conn, derr
		},
	}
}
