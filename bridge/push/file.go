package push

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/ingest"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
)

// source gives frames until io.EOF.
type source interface {
	next() (*media.Frame, error)
	io.Closer
}

// frames is a source that is a function.
type frames func() (*media.Frame, error)

func (f frames) next() (*media.Frame, error) { return f() }
func (f frames) Close() error                { return nil }

// reading is a file or stdin, in real time.
type reading struct {
	open  func() (source, error)
	loop  bool
	ahead time.Duration    // how far the input may run ahead of its own clock before it is held back
	tell  func(*ingest.TS) // what of it is left out; nil: nobody wants to know
	push  *Push
}

func (r *reading) run(ctx context.Context, h *hub.Hub, name string) error {
	src, err := r.open()
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	pub, err := h.Publish(name, hub.PublisherInfo{Protocol: "file"})
	if err != nil {
		return err
	}
	defer pub.Close(nil)
	var clock pace
	r.push.verdict.look(src)
	var in *tsIn // nil: only frames
	if _, ok := src.(*tsSource); ok && r.push.verdict.pass {
		in = r.push.newTSIn(pub)
		defer in.end()
	}
	for {
		var n int
		if ts, ok := src.(*tsSource); ok && in != nil {
			n, err = r.passOn(ctx, ts, in, &clock)
		} else {
			n, err = r.play(ctx, src, pub, &clock)
		}
		if !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return nothing(src)
		}
		if !r.loop {
			return nil
		}
		_ = src.Close()
		if src, err = r.open(); err != nil {
			return err
		}
		clock.again()
	}
}

// nothing says what an input without frames has instead.
func nothing(src source) error {
	if ts, ok := src.(*tsSource); ok {
		if left := leftOut(ts.ts); left != "" {
			return fmt.Errorf("%w: only %s, which is not carried", errNothing, left)
		}
	}
	return errNothing
}

// leftOut names what a transport stream has that is not carried; empty: nothing.
func leftOut(ts *ingest.TS) string {
	var names []string
	for _, i := range ts.Ignored() {
		names = append(names, i.String())
	}
	return strings.Join(names, ", ")
}

// play hands on the frames of one round, each when it is due.
func (r *reading) play(ctx context.Context, src source, pub *hub.Publisher, clock *pace) (n int, err error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		f, err := src.next()
		if err != nil {
			return n, err
		}
		due := clock.place(f, time.Now())
		if wait := time.Until(due) - r.ahead; wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return n, context.Cause(ctx)
			}
		}
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		if err := pub.WriteFrame(f); err != nil {
			return n, err
		}
		if ts, ok := src.(*tsSource); ok && n == 0 && r.tell != nil {
			r.tell(ts.ts)
		}
		n++
	}
}

// pace puts frames on one timeline over all rounds, and that onto the clock.
type pace struct {
	start   time.Time
	offset  time.Duration
	end     time.Duration // when the round ends on the timeline
	last    time.Duration // newest picture's DTS
	opened  bool          // this round has its offset
	started bool
}

// place rewrites a frame's times and says when it is due.
func (p *pace) place(f *media.Frame, now time.Time) time.Time {
	if !p.opened {
		p.opened = true
		p.offset = p.end - f.DTS
	}
	f.DTS += p.offset
	f.PTS += p.offset
	f.Arrival = time.Time{}
	length := 20 * time.Millisecond // of a unit of sound, about
	if f.Codec.IsVideo() {
		if length = f.DTS - p.last; length <= 0 || length > time.Second {
			length = time.Second / 30
		}
		p.last = f.DTS
	}
	p.end = max(p.end, f.DTS+length)
	return p.due(f.DTS, now)
}

// due is when a time of the timeline is, on the clock.
func (p *pace) due(at time.Duration, now time.Time) time.Time {
	if !p.started {
		p.started, p.start = true, now
	}
	if due := p.start.Add(at); now.Sub(due).Abs() > jump {
		p.start = now.Add(-at) // the input's clock jumped: the hub makes one timeline of it
	}
	return p.start.Add(at)
}

// jump is how far a frame may be from its time before the clock is set anew: ours, longer than any gap that one waits out.
const jump = 5 * time.Second

func (p *pace) again() { p.opened = false }

// openFile finds out what a file is.
func openFile(name string) (source, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	var head [12]byte
	n, _ := io.ReadFull(f, head[:])
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		_ = f.Close()
		return nil, err
	}
	if n == len(head) && string(head[4:8]) == "ftyp" {
		return openMP4(f)
	}
	return openStream(f)
}

// openStream finds out what a stream is: FLV by its signature, else MPEG-TS.
func openStream(r io.Reader) (source, error) {
	b := bufio.NewReaderSize(r, undecided)
	head, err := b.Peek(4)
	if len(head) == 0 && errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty")
	}
	if len(head) == 0 {
		return nil, err
	}
	closer, _ := r.(io.Closer)
	switch {
	case string(head[:min(3, len(head))]) == "FLV":
		return &flvSource{stream: stream{b, closer}}, nil
	case head[0] == syncByte || inTS(b):
		return &tsSource{stream: stream{b, closer}, ts: ingest.NewTS(mpegts.Config{})}, nil
	}
	return nil, errors.New("neither MPEG-TS nor FLV nor MP4")
}

// syncByte begins a packet: ISO 13818-1 §2.4.3.2.
const syncByte = 0x47

// inTS reports whether a stream begins in the midst of a transport packet, as one that was cut somewhere does.
func inTS(b *bufio.Reader) bool {
	head, _ := b.Peek(4 * mpegts.PacketSize)
	for i := range min(mpegts.PacketSize, max(0, len(head)-2*mpegts.PacketSize)) {
		if head[i] == syncByte && head[i+mpegts.PacketSize] == syncByte && head[i+2*mpegts.PacketSize] == syncByte {
			return true
		}
	}
	return false
}

// stream is what is read and closed.
type stream struct {
	r *bufio.Reader
	c io.Closer
}

func (s stream) Close() error {
	if s.c == nil {
		return nil
	}
	return s.c.Close()
}

type tsSource struct {
	stream
	ts  *ingest.TS
	buf [64 * mpegts.PacketSize]byte
	end error
}

func (s *tsSource) next() (*media.Frame, error) {
	for {
		if f, ok := s.ts.Next(); ok {
			return f, nil
		}
		if s.end != nil {
			return nil, s.end
		}
		n, err := s.r.Read(s.buf[:])
		s.ts.Write(time.Time{}, s.buf[:n])
		if err != nil {
			s.end = err
			s.ts.Flush()
		}
	}
}

type flvSource struct {
	stream
	d   flv.Demuxer
	p   flv.Parser
	buf [32 << 10]byte
	end error
}

func (s *flvSource) next() (*media.Frame, error) {
	for {
		for tag, ok := s.d.Next(); ok; tag, ok = s.d.Next() {
			if f := s.p.Parse(tag.Type, tag.Time, tag.Body); f != nil {
				return f, nil
			}
		}
		if s.end != nil {
			return nil, s.end
		}
		n, err := s.r.Read(s.buf[:])
		if err == nil || n > 0 {
			if derr := s.d.Write(s.buf[:n]); derr != nil {
				return nil, derr
			}
		}
		if s.end = err; err == nil {
			s.end = s.d.Err()
		}
	}
}
