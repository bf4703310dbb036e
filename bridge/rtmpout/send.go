package rtmpout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/flv"
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
// Goroutines: the caller's sends; one that reads from the server ends before run does.
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
	if !s.cut && (errors.Is(err, context.Canceled) || causeOf(err).isClean() || moved) {
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

func (s *session) send(ctx context.Context) error {
	o := s.o
	out := tcp.NewVector(s.nc)
	var w *rtmp.FrameWriter
	var tracks []*media.Config
	var codecs [8]media.Codec // by track; the hub has no more
	var first time.Duration
	var last rtmp.FrameStats
	var quiet *silence      // in place of the sound that there is not
	var silent, left uint64 // frames of it; frames of codecs that the destination does not take
	var armed time.Time     // when the write deadline was set
	for {
		f, err := s.sub.Read(ctx)
		switch {
		case err != nil && ctx.Err() != nil: // whose cause may be an EOF too: the server's
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return errStreamEnd
		case err != nil:
			return err
		}
		if w == nil {
			tracks, first = s.taken(s.sub.Tracks()), f.DTS
			w = rtmp.NewFrameWriter(s.client.Media(), first-o.lead, true)
			w.SetForm(flv.Form{HEVC12: s.opts.HEVC12})
			if s.opts.Silence && !slices.ContainsFunc(tracks, func(c *media.Config) bool { return c.Codec.IsAudio() }) {
				quiet = newSilence(first)
				tracks = append(tracks, quiet.config)
			}
		}
		if !s.opts.takes(f.Codec) {
			if f.Codec.IsVideo() {
				return errCodec // and not again: connect looks first
			}
			left++
			continue
		}
		if quiet != nil && f.Codec.IsAudio() { // there is sound after all
			return errCodec
		}
		if f.IsKeyVideo() || codecs[0] == media.CodecNone && f.Track != 0 {
			select {
			case err := <-s.moving:
				return err
			default:
			}
			if f.DTS-first > renewAfter {
				return errRenew
			}
		}
		if c := &codecs[f.Track&7]; *c != f.Codec {
			if *c != media.CodecNone {
				return errCodec
			}
			*c = f.Codec
		}
		out.List = w.AppendFrame(out.List, f, tracks)
		if quiet != nil {
			for q := quiet.next(f.DTS); q != nil; q = quiet.next(f.DTS) {
				out.List = w.AppendFrame(out.List, q, nil)
				silent++
			}
		}
		bytes := 0
		for _, b := range out.List {
			bytes += len(b)
		}
		began := time.Now()
		if began.Sub(armed) > o.cfg.WriteTimeout/16 { // not for every frame: it moves a timer
			armed = began
			_ = s.nc.SetWriteDeadline(began.Add(o.cfg.WriteTimeout))
		}
		if ctx.Err() != nil { // only now: the deadline above may have covered the one that says so
			return context.Cause(ctx)
		}
		err = out.Flush()
		w.Flushed()
		if err != nil {
			s.cut = true
			if isTimeout(err) {
				return fmt.Errorf("%w: %w", errStalled, err)
			}
			if cause := context.Cause(ctx); cause != nil { // the reader knows better: the server's last words
				return cause
			}
			return err
		}
		now := w.Stats()
		now.Extra += left
		now.Frames -= silent
		o.sent(now, last)
		last = now
		if s.backlog.wrote(began, bytes) {
			if lag := s.checkBacklog(began); lag > o.cfg.MaxBacklog {
				return fmt.Errorf("%w: what the kernel holds is %v old", errStalled, lag.Round(100*time.Millisecond))
			}
		}
	}
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
