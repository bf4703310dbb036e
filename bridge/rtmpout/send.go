package rtmpout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
	"github.com/fairlead-live/fairlead/bridge/tcp"
)

// begin is how a publish starts.
type begin uint8

const (
	beginNewest begin = iota // with the newest GOP, as it is
	beginAgain               // the same, if it is not older than restartAge: the server has lost what it had
	beginFresh               // with the newest GOP if it began less than MaxStartAge ago, else with the next key frame
	beginAfter               // with the next key frame, right where another session ends
)

// restartAge is how old the key frame may be that a reconnect begins with: a GOP and a half of two seconds. Ours.
const restartAge = 3 * time.Second

// subscribe joins the stream for this session. after: the session that ends where this one begins, for beginAfter.
func (s *session) subscribe(how begin, after *session) error {
	o := s.o
	info := o.info()
	info.Borrows = true
	if _, plain := s.nc.(*net.TCPConn); plain {
		info.Pump = s.pump
	}
	if how == beginAfter {
		info.Succeed = after.sub
	}
	sub, err := o.cfg.Hub.Subscribe(o.cfg.Stream, info)
	limit := map[begin]time.Duration{beginAgain: restartAge, beginFresh: o.cfg.MaxStartAge}[how]
	if err == nil && limit > 0 && sub.Stats().Lag > limit {
		sub.Close()
		info.NoCache = true
		sub, err = o.cfg.Hub.Subscribe(o.cfg.Stream, info)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errStreamEnd, err)
	}
	s.sub = sub
	return nil
}

// run sends until ctx ends, the stream ends or the connection fails, closes the connection and returns why. cancel ends ctx.
//
// Goroutines: the caller's sends what the publisher's could not; one that reads from the server ends before run does.
func (s *session) run(ctx context.Context, cancel context.CancelCauseFunc) error {
	stop := context.AfterFunc(ctx, func() { _ = s.nc.SetWriteDeadline(time.Now().Add(lastWords)) })
	defer stop()
	var reader sync.WaitGroup
	reader.Go(func() { // owns s.client until it ends
		for {
			err := s.step()
			if m, ok := errors.AsType[*movedError](err); ok {
				s.asked(s, m)
				continue
			}
			if err != nil {
				cancel(err)
				return
			}
		}
	})
	err := s.send(ctx)
	cancel(err)
	s.o.closed(s)
	_, moved := errors.AsType[*movedError](err)
	if !s.tx.cut && (errors.Is(err, context.Canceled) || causeOf(err).isClean() || moved) {
		_ = s.nc.SetReadDeadline(time.Unix(1, 0))
		reader.Wait()
		s.end()
		return err
	}
	tcp.Reset(s.nc) // what the kernel holds is stale
	reader.Wait()
	return err
}

// end says goodbye: that is what frees the key at the far side.
func (s *session) end() {
	defer s.nc.Close()
	s.client.End()
	_ = s.nc.SetDeadline(time.Now().Add(lastWords))
	if _, err := s.nc.Write(s.client.Output()); err != nil {
		return
	}
	tcp.CloseWrite(s.nc)
	_, _ = io.Copy(io.Discard, io.LimitReader(s.nc, 1<<20))
}

// sender is the sending half of a session: frames, and answers to what the server says.
//
// A frame is sent by the publisher's goroutine when nobody else is sending and the kernel takes it (pump): that costs no other goroutine's
// waking. What the kernel does not take, and all that waits meanwhile, is the session's own goroutine's to send (send); no publisher waits.
type sender struct {
	turn    sync.Mutex // who holds it sends, through a wait for the kernel too: a publisher only tries. It guards what follows
	ctx     context.Context
	running bool  // send has begun and not ended
	failed  error // what pump ended with, for send to return
	cut     bool  // a write ended inside a message: nothing more can be said

	out          *tcp.Vector
	w            *rtmp.FrameWriter
	tracks       []*media.Config
	codecs       [8]media.Codec // by track; the hub has no more
	first        time.Duration
	last         rtmp.FrameStats
	quiet        *silence  // in place of the sound that there is not
	silent, left uint64    // frames of it; frames of codecs that the destination does not take
	armed        time.Time // when the write deadline was set
	since        time.Time // when send began
	came         time.Time // out's frame
	began        time.Time // when out's frame was begun
	bytes        int       // of it
}

// pump sends what the kernel takes. It is called by the stream's publisher, and does not wait.
func (s *session) pump(sub *hub.Subscriber, now time.Time) {
	t := &s.tx
	if !t.turn.TryLock() {
		sub.Wake() // who has the turn may have looked already
		return
	}
	defer t.turn.Unlock()
	if !t.running || t.failed != nil || t.out.Pending() { // send sees to it
		sub.Wake()
		return
	}
	if t.failed = s.drain(now); t.failed != nil || t.out.Pending() {
		sub.Wake()
	}
}

// send sends until ctx or the stream ends or the connection fails, and returns why.
func (s *session) send(ctx context.Context) (err error) {
	t := &s.tx
	t.turn.Lock()
	t.out, t.ctx, t.running = tcp.NewVector(s.nc), ctx, true
	t.since = time.Now()
	for {
		if err = t.failed; err == nil {
			err = s.drain(time.Time{})
		}
		if err != nil {
			break
		}
		t.turn.Unlock()
		err = s.sub.Wait(ctx)
		t.turn.Lock()
		if err != nil {
			break
		}
	}
	defer t.turn.Unlock()
	t.running = false
	if t.out.Pending() && !t.cut { // a message that was begun; the deadline for last words holds
		t.cut = t.out.Flush() != nil
	}
	if cause := context.Cause(ctx); cause != nil { // it may be an EOF too: the server's; and the reader knows better than a failed write
		return cause
	}
	return err
}

// say sends an answer to the server, between two messages.
func (s *session) say(b []byte) error {
	s.tx.turn.Lock()
	defer s.tx.turn.Unlock()
	if s.tx.out != nil && s.tx.out.Pending() {
		if err := s.flush(); err != nil {
			return err
		}
	}
	_ = s.nc.SetWriteDeadline(time.Now().Add(s.o.cfg.WriteTimeout))
	_, err := s.nc.Write(b)
	return err
}

// drain sends what is queued until the kernel takes no more at now, which is the hub's; a zero now: until all of it is sent, however long that
// takes. The turn is held, as for all that follows.
func (s *session) drain(now time.Time) error {
	wait := now.IsZero()
	for more := true; more; {
		if s.tx.out.Pending() {
			if !wait {
				return nil
			}
			if err := s.flush(); err != nil {
				return err
			}
		}
		f, another, err := s.sub.TryRead(now)
		switch {
		case errors.Is(err, io.EOF):
			return errStreamEnd
		case err != nil:
			return err
		case f == nil:
			return nil
		}
		more = another || wait // who waits lets go of the last frame too
		if err := s.append(f); err != nil {
			return err
		}
		if err := s.tx.out.Try(); err != nil {
			s.tx.cut = true
			return err
		}
		if !s.tx.out.Pending() {
			if err := s.flushed(); err != nil {
				return err
			}
		}
	}
	return nil
}

// append puts a frame, and what goes in front of it, into out; nothing when it is not for this destination.
func (s *session) append(f *media.Frame) error {
	o, t := s.o, &s.tx
	if t.w == nil {
		t.tracks, t.first = s.taken(s.sub.Tracks()), f.DTS
		t.w = rtmp.NewFrameWriter(s.client.Media(), t.first-o.lead, true)
		t.w.SetForm(flv.Form{HEVC12: s.opts.HEVC12})
		if s.opts.Silence && !slices.ContainsFunc(t.tracks, func(c *media.Config) bool { return c.Codec.IsAudio() }) {
			t.quiet = newSilence(t.first)
			t.tracks = append(t.tracks, t.quiet.Config)
		}
	}
	if !s.opts.takes(f.Codec) {
		if f.Codec.IsVideo() {
			return errCodec // and not again: connect looks first
		}
		t.left++
		return nil
	}
	if t.quiet != nil && f.Codec.IsAudio() { // there is sound after all
		return errCodec
	}
	if f.IsKeyVideo() || t.codecs[0] == media.CodecNone && f.Track != 0 {
		select {
		case err := <-s.moving:
			return err
		default:
		}
		if f.DTS-t.first > renewAfter {
			return errRenew
		}
	}
	if c := &t.codecs[f.Track&7]; *c != f.Codec {
		if *c != media.CodecNone {
			return errCodec
		}
		*c = f.Codec
	}
	t.out.List = t.w.AppendFrame(t.out.List, f, t.tracks)
	if t.quiet != nil {
		for q := t.quiet.next(f.DTS); q != nil; q = t.quiet.next(f.DTS) {
			t.out.List = t.w.AppendFrame(t.out.List, q, nil)
			t.silent++
		}
	}
	t.bytes = 0
	for _, b := range t.out.List {
		t.bytes += len(b)
	}
	t.came, t.began = f.Arrival, time.Now()
	return nil
}

// flush waits until the kernel has taken what Try left.
func (s *session) flush() error {
	o, t := s.o, &s.tx
	if now := time.Now(); now.Sub(t.armed) > o.cfg.WriteTimeout/16 { // not for every frame: it moves a timer
		t.armed = now
		_ = s.nc.SetWriteDeadline(now.Add(o.cfg.WriteTimeout))
	}
	if t.ctx.Err() != nil { // only now: the deadline above may have covered the one that says so
		_ = s.nc.SetWriteDeadline(time.Now().Add(lastWords))
	}
	if err := t.out.Flush(); err != nil {
		t.cut = true
		if isTimeout(err) {
			return fmt.Errorf("%w: %w", errStalled, err)
		}
		return err
	}
	return s.flushed()
}

// flushed counts what was sent, and looks now and then at what the kernel holds of it.
func (s *session) flushed() error {
	o, t := s.o, &s.tx
	if t.w == nil || t.bytes == 0 {
		return nil
	}
	t.w.Flushed()
	now := t.w.Stats()
	now.Extra += t.left
	now.Frames -= t.silent
	took := time.Duration(-1)
	if t.came.After(t.since) { // what is older is of the group of pictures that it begins with
		took = time.Since(t.came)
	}
	o.sent(now, t.last, took)
	t.last = now
	bytes := t.bytes
	t.bytes = 0
	if s.backlog.wrote(t.began, bytes) {
		if lag := s.checkBacklog(t.began); lag > o.cfg.MaxBacklog {
			return fmt.Errorf("%w: what the kernel holds is %v old", errStalled, lag.Round(100*time.Millisecond))
		}
	}
	return nil
}

// taken are the tracks that the destination takes.
func (s *session) taken(tracks []*media.Config) []*media.Config {
	return slices.DeleteFunc(tracks, func(c *media.Config) bool { return !s.opts.takes(c.Codec) })
}

// checkBacklog looks at what the kernel holds, returns how old it is, and keeps the part that is not sent yet small for the stream's rate.
func (s *session) checkBacklog(now time.Time) time.Duration {
	lag := s.backlog.age(now, tcp.Backlog(s.nc))
	if n := s.backlog.lowWater(); n > 0 {
		_ = tcp.LowWater(s.nc, n)
	}
	s.o.update(func(st *Stats) { st.BacklogAge = lag })
	return lag
}
