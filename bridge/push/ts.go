package push

import (
	"context"
	"errors"
	"time"

	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/ingest"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/quiclink"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// tsIn takes one transport stream to the hub: as frames, and as it is where the verdict is so. It is owned by one goroutine.
type tsIn struct {
	push *Push
	pub  *hub.Publisher
	ts   *ingest.TS
	cut  *mpegts.Cutter // nil: only frames
	tell func(*ingest.TS)

	began time.Time      // when the piece at hand did
	held  []mpegts.Piece // until the verdict
	bytes int
}

func (p *Push) newTSIn(pub *hub.Publisher) *tsIn {
	t := &tsIn{push: p, pub: pub, ts: ingest.NewTS(mpegts.Config{}), tell: p.tell()}
	v := &p.verdict
	if v.want == passAlways {
		v.decide(true)
	}
	if !v.known() || v.pass {
		t.cut = &mpegts.Cutter{}
	}
	return t
}

// write takes in what has come, in real time.
func (t *tsIn) write(now time.Time, b []byte) error {
	if t.cut != nil {
		if t.began.IsZero() {
			t.began = now
		}
		t.cut.Write(b)
		if now.Sub(t.began) >= pieceAge {
			t.cut.Cut()
		}
		if err := t.pieces(now); err != nil {
			return err
		}
	}
	t.ts.Write(now, b)
	if err := t.judge(); err != nil {
		return err
	}
	if err := t.frames(); err != nil {
		return err
	}
	t.tell(t.ts)
	return nil
}

// pieces hands on what has been cut.
func (t *tsIn) pieces(now time.Time) error {
	for p, ok := t.cut.Next(); ok; p, ok = t.cut.Next() {
		t.began = now
		if t.push.verdict.known() {
			if err := t.pass(p); err != nil {
				return err
			}
			continue
		}
		t.held, t.bytes = append(t.held, p), t.bytes+len(p.Data)
		for t.bytes > undecided {
			t.bytes -= len(t.held[0].Data)
			t.held = t.held[1:]
		}
	}
	return nil
}

func (t *tsIn) pass(p mpegts.Piece) error {
	return t.pub.WriteTS(hub.TSPiece{Data: p.Data, Time: p.Time, Tables: p.Tables, Key: p.Key})
}

// judge makes the verdict once the PMT is there, and acts on it.
func (t *tsIn) judge() error {
	v := &t.push.verdict
	if t.cut == nil {
		return nil
	}
	if !v.known() {
		strange, known := beyond(t.ts)
		if !known {
			return nil
		}
		v.decide(strange)
	}
	held := t.held
	t.held, t.bytes = nil, 0
	if !v.pass {
		t.cut = nil
		return nil
	}
	for _, p := range held {
		if err := t.pass(p); err != nil {
			return err
		}
	}
	return nil
}

func (t *tsIn) frames() error {
	for f, ok := t.ts.Next(); ok; f, ok = t.ts.Next() {
		if err := t.pub.WriteFrame(f); err != nil {
			return err
		}
	}
	return nil
}

// end hands on what is left when the stream has ended.
func (t *tsIn) end() {
	if t.cut != nil && t.push.verdict.known() {
		t.cut.Cut()
		_ = t.pieces(time.Time{})
	}
	t.ts.Flush()
	_ = t.frames()
}

// passOn plays a file or a pipe as it is, in real time by its PCRs; the frames in it go to who wants those.
func (r *reading) passOn(ctx context.Context, s *tsSource, in *tsIn, clock *pace) (n int, err error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for read := 0; ; {
		k, err := s.r.Read(s.buf[:])
		in.cut.Write(s.buf[:k])
		if err != nil {
			in.cut.Cut()
		}
		for p, ok := in.cut.Next(); ok; p, ok = in.cut.Next() {
			if wait := time.Until(clock.due(p.Time, time.Now())) - r.ahead; wait > 0 {
				timer.Reset(wait)
				select {
				case <-timer.C:
				case <-ctx.Done():
				}
			}
			if ctx.Err() != nil {
				return n, context.Cause(ctx)
			}
			if err := in.pass(p); err != nil {
				return n, err
			}
			in.ts.Write(time.Time{}, p.Data)
			if err := in.frames(); err != nil {
				return n, err
			}
			if n++; n == 1 || n%64 == 0 {
				in.tell(in.ts)
			}
		}
		if read += k; read > undecided && !in.cut.Clocked() {
			return n, errors.New("a transport stream without a PCR cannot be sent in real time")
		}
		if err != nil {
			return n, err
		}
	}
}

// feedTS sends the transport stream as it comes.
func (u *uplinkOutput) feedTS(ctx context.Context, sub *hub.TSSubscriber) error {
	u.client.SetTracks(tsTracks)
	for {
		p, err := sub.Read(ctx)
		if err != nil {
			return err
		}
		f := transport.Frame{Codec: transport.Passthrough, PTS: p.Time, DTS: p.Time, Data: p.Data}
		if p.Key {
			f.Flags = transport.Key
		}
		switch err := u.client.WriteFrame(&f); {
		case err == nil, errors.Is(err, transport.ErrQueueFull), errors.Is(err, quiclink.ErrReconnecting): // counted there
		default:
			return err
		}
	}
}

// tsTracks describes a transport stream that is passed through.
var tsTracks = []wire.Track{{Codec: uint8(transport.Passthrough)}}
