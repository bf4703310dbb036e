package show

import (
	"encoding/binary"
	"time"

	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/bridge/stutter"
	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/srt"
	"github.com/fairlead-live/fairlead/transport/srt/adapt"
)

// SRT is an SRT connection: our caller and our listener, set to do what libsrt does in live mode. rule, if not nil, drives the encoder.
func SRT(name, about string, cfg srt.CallerConfig, rule func(adapt.Range) adapt.Rule) Scheme {
	return Scheme{Name: name, About: about, New: func(st *Stage) (Sender, error) {
		s := &srtFlow{st: st, cfg: cfg, rx: &srtReceiver{}}
		s.rx.onPop = s.pop
		if s.cfg.Latency == 0 {
			s.cfg.Latency = st.Latency
		}
		s.rx.l = srt.NewListener(srt.Config{Secret: [32]byte{1}, Latency: s.cfg.Latency})
		if err := s.call(); err != nil {
			return nil, err
		}
		s.link = st.Connect(st.Path, s, st.receiver(s.rx))
		st.look(s.facts)
		s.link.Stall(st.Stalls)
		if rule != nil {
			top := st.Encoder.Rate
			if top == 0 {
				top = 4 * congestion.Mbps
			}
			s.watch = &adapt.Watch{Rule: rule(adapt.Range{Min: 300 * congestion.Kbps, Max: top})}
			st.Every(s.watch.Rule.Every(), func() { s.target = s.watch.Update(st.Now(), s.tx) })
		}
		st.Every(100*time.Millisecond, func() {
			if s.tx.Err() != nil { // an encoder that calls again
				_ = s.call()
				s.link.A.Wake()
			}
		})
		return s, nil
	}}
}

// Libsrt is a caller that resends as libsrt does: without a budget of its own, and once for each request.
func Libsrt() srt.CallerConfig { return srt.CallerConfig{ResendShare: 100, Single: true} }

// srtFlow is the calling side, and what becomes of the frames at the other.
type srtFlow struct {
	st      *Stage
	cfg     srt.CallerConfig
	tx      *srt.Caller
	rx      *srtReceiver
	link    *sim.Link
	watch   *adapt.Watch
	target  congestion.Bitrate
	path    congestion.Standing
	counter uint32 // of the payloads of pictures, for what a demultiplexer sees missing
	expect  uint32
	broken  bool
	calls   byte
	buf     []byte
	now     Frame // that the packets of come out
	parts   int   // of it, that came
}

func (s *srtFlow) call() (err error) {
	s.calls++
	s.cfg.Secret = [32]byte{2, s.calls, byte(s.st.Seed())}
	s.cfg.StreamID = "publish:live/show"
	s.tx, err = srt.NewCaller(s.cfg)
	return err
}

func (s *srtFlow) HandleDatagram(now time.Time, b []byte) { s.tx.HandleDatagram(now, b) }
func (s *srtFlow) NextTimeout() time.Time                 { return s.tx.NextTimeout() }
func (s *srtFlow) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	return s.tx.AppendDatagram(dst, now)
}

// tsBytes is a frame in a transport stream: a PES header, 184 of 188 bytes, and stuffing.
func tsBytes(n int) int { return (n + 19 + 183) / 184 * 188 }

const srtPayload = 1316 // 7 packets of 188 bytes

// Write cuts a frame into payloads. Each begins with the frame's number, kind, the payloads it takes and which one it is.
func (s *srtFlow) Write(f Frame) {
	total := tsBytes(f.Size)
	n := (total + srtPayload - 1) / srtPayload
	for i := range n {
		size := min(srtPayload, total)
		total -= size
		s.buf = append(s.buf[:0], make([]byte, size)...)
		binary.BigEndian.PutUint64(s.buf, uint64(f.Seq))
		if f.Audio {
			s.buf[8] = 1
		}
		binary.BigEndian.PutUint16(s.buf[9:], uint16(n))
		binary.BigEndian.PutUint16(s.buf[11:], uint16(i))
		if !f.Audio {
			binary.BigEndian.PutUint32(s.buf[13:], s.counter)
			s.counter++
		}
		s.tx.Push(s.st.Now(), s.buf)
	}
	s.link.A.Wake()
}

// pop takes a payload that is due.
func (s *srtFlow) pop(b []byte) {
	f := Frame{Seq: int64(binary.BigEndian.Uint64(b)), Audio: b[8] == 1}
	if !f.Audio {
		c := binary.BigEndian.Uint32(b[13:])
		s.broken, s.expect = s.broken || c != s.expect, c+1
	}
	n, i := int(binary.BigEndian.Uint16(b[9:])), int(binary.BigEndian.Uint16(b[11:]))
	if f != s.now || i == 0 {
		s.now, s.parts = f, 0
	}
	if s.parts != i { // one before it is missing
		return
	}
	if s.parts++; s.parts == n {
		f.Broken, s.broken = s.broken && !f.Audio, s.broken && f.Audio
		s.st.Deliver(f)
	}
}

// facts are what the relay knows.
func (s *srtFlow) facts() stutter.Facts {
	c := s.rx.conn
	if c == nil {
		return stutter.Facts{}
	}
	now, st := s.st.Now(), c.Stats()
	for _, a := range c.TakeArrivals(nil) {
		if !a.Resent {
			s.path.Add(a.At.Sub(sim.Epoch), a.At.Sub(sim.Epoch)-a.Stamp)
		}
	}
	f := stutter.Facts{
		Numbered: true, Silent: c.Silence(now), Latency: st.Latency, Received: st.ReceivedBytes / 1200, Lost: st.Missing, Holes: st.Skipped,
	}
	f.Queue = s.path.Queue(s.st.Elapsed())
	return f
}

func (s *srtFlow) Target() congestion.Bitrate { return s.target }
func (s *srtFlow) KeyframeWanted() bool       { return false }
func (s *srtFlow) Finish() Counts             { return Counts{} }

// srtReceiver is a listener that takes every caller.
type srtReceiver struct {
	l     *srt.Listener
	conn  *srt.Conn // of the caller that spoke last
	out   [][]byte
	onPop func([]byte)
}

func (r *srtReceiver) HandleDatagram(time.Time, []byte) {}

func (r *srtReceiver) HandleArrival(now time.Time, b []byte, a sim.Arrival) {
	r.l.HandleDatagram(now, a.From, b)
}

func (r *srtReceiver) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	if len(r.out) == 0 {
		r.drive(now)
	}
	if len(r.out) == 0 {
		return dst, false
	}
	dst = append(dst, r.out[0]...)
	r.out = r.out[1:]
	return dst, true
}

func (r *srtReceiver) drive(now time.Time) {
	for c := r.l.Next(now); c != nil; c = r.l.Next(now) {
		r.conn = c
		for b, ok := c.PopPayload(now); ok; b, ok = c.PopPayload(now) {
			r.onPop(b)
		}
		for b, ok := c.AppendDatagram(nil, now); ok; b, ok = c.AppendDatagram(nil, now) {
			r.out = append(r.out, b)
		}
	}
	for q, ok := r.l.NextRequest(); ok; q, ok = r.l.NextRequest() {
		r.l.Accept(now, q)
	}
	for b, _, ok := r.l.AppendDatagram(nil, now); ok; b, _, ok = r.l.AppendDatagram(nil, now) {
		r.out = append(r.out, b)
	}
}

func (r *srtReceiver) NextTimeout() time.Time { return r.l.NextTimeout() }
