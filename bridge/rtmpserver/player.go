package rtmpserver

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
	"github.com/fairlead-live/fairlead/bridge/tcp"
)

// player is the goroutine that sends one stream to one peer. The connection's reader owns it, starts and stops it.
type player struct {
	nc     net.Conn
	cancel context.CancelFunc
	done   chan struct{} // err and whole are set
	gone   chan struct{} // and the reader was woken
	err    error         // why it ended
	whole  bool          // the last message was sent whole, so that more may follow
}

func (p *player) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends the goroutine and reports whether the peer is at a message's end.
func (p *player) stop() bool {
	p.cancel()
	_ = p.nc.SetWriteDeadline(time.Now().Add(lingerTime))
	<-p.gone
	return p.whole
}

func (c *conn) play(ctx context.Context, r *rtmp.Request) error {
	if _, err := c.authorize(ctx, r, false); err != nil {
		return err
	}
	sub, err := c.s.cfg.Hub.Subscribe(r.Name(), hub.SubscriberInfo{Protocol: "rtmp", Peer: c.nc.RemoteAddr().String(), Borrows: true})
	switch {
	case errors.Is(err, hub.ErrNoStream):
		return c.refuse(RefusedNotFound, rtmp.CodePlayNotFound, err)
	case err != nil:
		return c.refuse(RefusedRejected, rtmp.CodePlayFailed, err)
	}
	c.m.Accept()
	writer := rtmp.NewFrameWriter(c.m.Media(), 0, false)
	if err := c.flush(); err != nil { // before the other goroutine writes
		sub.Close()
		return err
	}
	c.log.Info("rtmp: playing", "player", r.FlashVersion)
	ctx, cancel := context.WithCancel(ctx)
	p := &player{nc: c.nc, cancel: cancel, done: make(chan struct{}), gone: make(chan struct{})}
	c.player = p
	c.s.count(func(st *Stats) { st.Players++ })
	go func() { // waited for in player.stop
		defer close(p.gone)
		p.whole, p.err = send(ctx, c.nc, c.s.cfg.WriteTimeout, sub, writer)
		sub.Close()
		c.s.count(func(st *Stats) { st.Players-- })
		close(p.done)
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // wakes the reader, which closes
	}()
	return nil
}

// othersFirst is how long a player that has its first key frame waits for the rest of the group of pictures, so that of many who join at once all see
// the first picture before one sees the second: of 100 on two processors 10 ms sooner. Ours.
const othersFirst = 20 * time.Millisecond

// send writes the subscriber's frames until it ends. whole is false when a write was cut short.
func send(ctx context.Context, nc net.Conn, timeout time.Duration, sub *hub.Subscriber, w *rtmp.FrameWriter) (whole bool, err error) {
	out := tcp.NewVector(nc)
	var tracks []*media.Config
	joins := true
	for {
		f, err := sub.Read(ctx)
		if errors.Is(err, io.EOF) {
			return true, errStreamEnd
		}
		if err != nil {
			return true, err
		}
		if w.Stats().Frames == 0 {
			tracks = sub.Tracks()
		}
		out.List = w.AppendFrame(out.List, f, tracks)
		_ = nc.SetWriteDeadline(time.Now().Add(timeout))
		if ctx.Err() != nil { // only now: the deadline above may have covered the one that says so
			return true, context.Cause(ctx)
		}
		err = out.Flush()
		w.Flushed()
		if err != nil {
			return false, err
		}
		if joins && f.IsKeyVideo() {
			joins = false
			time.Sleep(othersFirst)
		}
	}
}
