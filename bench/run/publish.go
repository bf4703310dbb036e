package run

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bench/watch"
	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
)

// publisher pushes the clip's frames over RTMP as an encoder does that writes its frames itself: without the two frames of
// delay of a program that takes a transport stream apart first. What the connection does not take yet waits in memory, also
// while it is being opened.
//
// Goroutines: run is one, which begins one more that reads the server's answers; both end with the connection or ctx.
type publisher struct {
	queue    chan clipFrame // room for all of the clip: pacing never waits for the connection
	follower *follower      // nil: the clip is sent as it is
	obs      *dynamic       // with follower: what tells it

	mu    sync.Mutex  // guards waits
	waits []clipFrame // what queue holds, with obs
}

// clipFrame is a frame and when its source has it.
type clipFrame struct {
	at    time.Duration
	frame *media.Frame
}

func newPublisher(c *Clip, f *follower) *publisher {
	p := &publisher{queue: make(chan clipFrame, len(c.media)), follower: f}
	if f != nil {
		p.obs = newDynamic(f)
	}
	return p
}

// put makes a frame and queues it.
func (p *publisher) put(f clipFrame, seq int64) {
	if p.obs != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if now := time.Now(); f.frame.Codec.IsVideo() {
			p.follower.tell(now, p.obs.picture(now, p.waits))
			f.frame, _ = p.follower.picture(now, seq, f.frame)
		}
		p.waits = append(p.waits, f)
	}
	p.queue <- f
}

// taken says that the oldest frame does not wait any more.
func (p *publisher) taken() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waits = p.waits[1:]
}

// play hands each frame to run when it is due after start.
func (p *publisher) play(ctx context.Context, start time.Time, c *Clip) (late lateness, err error) {
	defer close(p.queue)
	timer := time.NewTimer(0)
	defer timer.Stop()
	seq := int64(0)
	for _, f := range c.media {
		timer.Reset(time.Until(start.Add(f.at)))
		select {
		case <-ctx.Done():
			return late, context.Cause(ctx)
		case <-timer.C:
		}
		late = append(late, time.Since(start.Add(f.at)))
		p.put(f, seq)
		if f.frame.Codec.IsVideo() {
			seq++
		}
	}
	return late, nil
}

// run connects, publishes and stays connected until ctx ends, which is no error.
func (p *publisher) run(ctx context.Context, n watch.Network, address string) error {
	err := p.connect(ctx, n, address)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("publish to %s: %w", address, err)
}

func (p *publisher) connect(ctx context.Context, n watch.Network, address string) error {
	target, err := rtmp.ParseURL(address)
	if err != nil {
		return err
	}
	conn, err := n.Dial(ctx, "tcp", net.JoinHostPort(target.Host, target.Port))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	context.AfterFunc(ctx, func() { conn.Close() }) // cancel, below, sees to it in every case
	defer cancel(nil)
	random := make([]byte, rtmp.RandomSize)
	_, _ = rand.Read(random) // never fails
	client := rtmp.NewClient(rtmp.ClientConfig{Target: target, Random: random})
	if _, err := conn.Write(client.Output()); err != nil {
		return err
	}
	ready := make(chan *rtmp.MediaWriter, 1)
	wg.Go(func() { cancel(answer(conn, client, ready)) })
	select {
	case w := <-ready:
		if err := p.write(ctx, conn, w); err != nil {
			return err
		}
		<-ctx.Done()
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

// answer does what the server asks for, until the connection ends.
func answer(conn net.Conn, client *rtmp.Client, ready chan<- *rtmp.MediaWriter) error {
	b := make([]byte, 8<<10)
	for {
		n, err := conn.Read(b)
		if err != nil {
			return err
		}
		for in := b[:n]; ; {
			ev, used, err := client.Feed(in)
			if err != nil {
				return err
			}
			in = in[used:]
			if out := client.Output(); len(out) > 0 {
				if _, err := conn.Write(out); err != nil {
					return err
				}
			}
			if ev.Kind == rtmp.EventReady {
				ready <- client.Media()
			}
			if ev.Kind == rtmp.EventNone {
				break
			}
		}
	}
}

// write sends what play hands over; it returns nil behind the last frame.
func (p *publisher) write(ctx context.Context, conn net.Conn, w *rtmp.MediaWriter) error {
	var configs [2]*media.Config
	for {
		var f clipFrame
		var more bool
		select {
		case f, more = <-p.queue:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if !more {
			return nil
		}
		if p.obs != nil {
			p.taken()
		}
		var out []byte
		kind := 0
		if f.frame.Codec.IsAudio() {
			kind = 1
		}
		typ, ms := uint8(flv.TypeOf(f.frame.Codec)), uint32(f.at/time.Millisecond)
		if configs[kind] != f.frame.Config {
			configs[kind] = f.frame.Config
			body, err := flv.AppendConfig(nil, f.frame.Config)
			if err != nil {
				return err
			}
			out = w.Append(out, typ, ms, body)
		}
		body, err := flv.AppendFrame(nil, f.frame)
		if err != nil {
			return err
		}
		out = w.Append(out, typ, ms, body)
		begin := time.Now()
		if _, err := conn.Write(out); err != nil {
			return err
		}
		if p.obs != nil {
			p.obs.sent(begin, time.Now(), len(out))
		}
	}
}
