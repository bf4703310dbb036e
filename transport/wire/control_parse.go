package wire

import (
	"encoding/binary"
	"time"
)

// reader takes fields off a body; after a short one everything is zero and bad is true.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || len(r.b) < n {
		r.bad = true
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// most is the last field of hello and welcome, if it is there.
func (r *reader) most() time.Duration {
	if len(r.b) == 0 {
		return 0
	}
	return time.Duration(r.u16()) * time.Millisecond
}

func (r *reader) bytes() []byte { return r.take(int(r.u16())) }

func (r *reader) err() error {
	if r.bad {
		return ErrMalformed
	}
	return nil
}

// ParseHello parses the body.
func ParseHello(body []byte) (h Hello, err error) {
	r := reader{b: body}
	h.Version, h.Oldest = r.u8(), r.u8()
	h.Flags = HelloFlags(r.u16())
	copy(h.SessionID[:], r.take(16))
	h.Latency = time.Duration(r.u16()) * time.Millisecond
	h.Name, h.Token, h.Agent = string(r.bytes()), string(r.bytes()), string(r.bytes())
	h.MaxLatency = r.most()
	return h, r.err()
}

// ParseWelcome parses the body.
func ParseWelcome(body []byte) (w Welcome, err error) {
	r := reader{b: body}
	w.Version, w.Status = r.u8(), r.u16()
	copy(w.SessionID[:], r.take(16))
	w.Tag = r.u32() & MaxTag
	w.Latency = time.Duration(r.u16()) * time.Millisecond
	w.Hold = time.Duration(r.u16()) * time.Second
	w.Reason = string(r.bytes())
	w.Flags, w.MTU = WelcomeFlags(r.u8()), r.u16()
	w.MaxLatency = r.most()
	return w, r.err()
}

// ParseTracks parses the body. Configs are views into it.
func ParseTracks(body []byte) ([]Track, error) {
	r := reader{b: body}
	n := int(r.u8())
	if n > MaxTracks {
		return nil, ErrMalformed
	}
	tracks := make([]Track, 0, n)
	for range n {
		tracks = append(tracks, Track{
			ID: r.u8(), Codec: r.u8(), Bitrate: r.u32(), Width: r.u16(), Height: r.u16(),
			Rate: r.u32(), Channels: r.u8(), Config: r.bytes(),
		})
	}
	return tracks, r.err()
}

// ParseTarget parses the body.
func ParseTarget(body []byte) (t Target, err error) {
	r := reader{b: body}
	t.Bitrate, t.Reason = r.u32(), r.u8()
	n := int(r.u8())
	if n > MaxLadder {
		return t, ErrMalformed
	}
	for range n {
		t.Ladder = append(t.Ladder, Rung{Track: r.u8(), Enabled: r.u8() != 0, Bitrate: r.u32()})
	}
	if len(r.b) > 0 {
		t.Path = &TargetPath{Queue: time.Duration(r.u16()) * time.Millisecond, Loss: float64(r.u16()) / (1<<16 - 1)}
	}
	return t, r.err()
}

// ParseKeyframe parses the body.
func ParseKeyframe(body []byte) (track uint8, err error) {
	r := reader{b: body}
	track = r.u8()
	return track, r.err()
}

// ParseStats parses the body; counters this version does not know follow the ones it does.
func ParseStats(body []byte) ([]uint64, error) {
	r := reader{b: body}
	n := int(r.u8())
	if n > MaxStats {
		return nil, ErrMalformed
	}
	out := make([]uint64, n)
	for i := range out {
		out[i] = r.u64()
	}
	return out, r.err()
}

// ParseDrain parses the body.
func ParseDrain(body []byte) (d Drain, err error) {
	r := reader{b: body}
	d.Left = time.Duration(r.u32()) * time.Millisecond
	d.URL = string(r.bytes())
	return d, r.err()
}

// ParseBye parses the body.
func ParseBye(body []byte) (b Bye, err error) {
	r := reader{b: body}
	b.Code, b.Reason = r.u16(), string(r.bytes())
	return b, r.err()
}

// ParseRekey parses the body.
func ParseRekey(body []byte) (epoch uint32, err error) {
	r := reader{b: body}
	epoch = r.u32()
	return epoch, r.err()
}

// ParsePath parses the body.
func ParsePath(body []byte) (p Path, err error) {
	r := reader{b: body}
	p.ID, p.Reply, p.Tag = r.u8(), r.u8() != 0, r.u32()&MaxTag
	return p, r.err()
}
