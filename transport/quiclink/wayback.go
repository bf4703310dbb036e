package quiclink

import (
	"context"
	"math/bits"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/transport/srtp"
	"github.com/fairlead-live/fairlead/transport/wire"
)

const (
	// backEvery is how long after media has moved into QUIC it is tried beside it for the first time; each time in vain doubles that up to
	// backMost. Ours: at first 1 kB/s, then 0.2.
	backEvery = 10 * time.Second
	backMost  = 2 * time.Minute
	// backProbes make a round, backAtOnce of them each targetEvery: a second of it, as long as a datagram of media is at least. Ours.
	backProbes = 10
	backAtOnce = 2
	// backRow and backShare of a round have to arrive: in a row, and in all. Ours: of rounds at 10 / 20 / 30 % of random loss 99 / 95 / 85 % do.
	backRow   = 3
	backShare = backProbes / 2
	// backPatience is how long after its last probe a round is waited for: ours, longer than any round trip media is of use at.
	backPatience = time.Second
)

// wayBack finds out, while media is inside QUIC, whether what is beside it arrives again.
//
//	wait ─▶ round: backProbes probes beside QUIC ─▶ the relay's reports, beside QUIC too ─▶ enough came: media goes back
//	  ▲                                                        └─ not within backPatience: twice the wait
//	  └────────────────────────────────────────────────────────┘
type wayBack struct {
	wait  time.Duration // between rounds
	at    time.Time     // when the next one begins; zero: not known yet
	until time.Time     // when the one under way has failed; zero: there is none
	first int64         // its first probe
	next  int64         // the next probe, of all on this connection
	came  uint32        // its probes that arrived, a bit each
}

// due is how many probes are to be sent now. It is asked every targetEvery.
func (w *wayBack) due(now time.Time) int {
	switch {
	case w.at.IsZero():
		w.at = now.Add(w.wait)
	case w.until.IsZero() && !now.Before(w.at):
		w.first, w.came = w.next, 0
		w.until = now.Add(backProbes/backAtOnce*targetEvery + backPatience)
	case !w.until.IsZero() && !now.Before(w.until):
		w.failed(now)
	}
	if w.until.IsZero() {
		return 0
	}
	return min(backAtOnce, int(w.first+backProbes-w.next))
}

// failed ends a round.
func (w *wayBack) failed(now time.Time) {
	w.wait = min(2*w.wait, backMost)
	w.at, w.until = now.Add(w.wait), time.Time{}
}

// take returns the index of a probe that is about to be sent.
func (w *wayBack) take() int64 {
	w.next++
	return w.next - 1
}

// heard takes in a report of the relay.
func (w *wayBack) heard(f *wire.Feedback) {
	for i := range f.Len() {
		if at := int64(int16(f.Begin + uint16(i) - uint16(w.first))); f.Metric(i).Received() && at >= 0 && w.first+at < w.next && at < backProbes {
			w.came |= 1 << at
		}
	}
}

// arrives reports whether the round under way has been sent whole, and enough of it has come.
func (w *wayBack) arrives() bool {
	row := w.came
	for range backRow - 1 {
		row &= row >> 1
	}
	return !w.until.IsZero() && w.next == w.first+backProbes && row != 0 && bits.OnesCount32(w.came) >= backShare
}

// probe sends what wayBack wants beside QUIC. Each is as long as a datagram of media, so that what stops those stops it.
func (s *sending) probe() {
	if s.knocks == nil || s.dialing || s.moving || s.leaving() {
		return
	}
	for range s.back.due(s.now) {
		index := s.back.take()
		b := wire.AppendRTP(s.out[:0], wire.RTP{Sequence: uint16(index), SendTime: uint32(s.now.UnixMicro()), SSRC: wire.SSRC(s.tag, 0)})
		b = append(wire.AppendProbe(b, 0), zeros[:baseMTU-wire.RTPHeaderSize-wire.ProbeSize-srtp.TagSize]...)
		if b, err := s.knocks.seal.SealRTP(b, 0, index); err == nil {
			_ = s.path.sock.send(b, nil, s.remote) // what the system refuses is lost
		}
	}
}

var zeros [baseMTU]byte

// answered takes in what came beside QUIC while media is inside it. What is not the relay's report is dropped, and counted by the socket.
func (s *sending) answered(p *packet) {
	if s.knocks != nil && wire.IsRTCP(p.bytes()) {
		if b, err := s.knocks.open.OpenRTCP(s.out[:0], p.bytes()); err == nil {
			if f, err := wire.ParseFeedback(b); err == nil && f.Media == wire.SSRC(s.tag, 0) {
				s.back.heard(&f)
				return
			}
		}
	}
	s.path.sock.stray.Add(1)
}

// leaving reports whether this connection ends soon anyway.
func (s *sending) leaving() bool { return s.drained || s.left || !s.finishAt.IsZero() }

// beginReturn makes the connection that media goes on beside, while it goes on inside this one.
func (s *sending) beginReturn(ctx context.Context, wg *sync.WaitGroup) {
	if s.dialing || s.leaving() || !s.back.arrives() {
		return
	}
	s.dialing = true
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		s.dialed <- dial(ctx, s.target, 0)
	})
}

// endReturn reports whether there is a connection to go on with.
func (s *sending) endReturn(d dialed) bool {
	s.dialing = false
	if d.err != nil {
		s.back.failed(s.now)
		return false
	}
	if s.leaving() {
		d.close()
		return false
	}
	s.ready = &d
	return true
}

// knocks are what a relay remembers of a publisher's probes beside QUIC while media is inside it.
type knocks struct {
	keys   *keyring
	began  time.Time
	newest int64 // probe
	seen   [16]knock
}

type knock struct {
	index int64
	at    time.Time
	ecn   uint8
}

// answer takes in a probe and appends a sealed report of the newest ones. false: it is none.
func (k *knocks) answer(dst []byte, now time.Time, p *packet, tag uint32) ([]byte, bool) {
	h, _, err := wire.ParseRTP(p.bytes())
	if err != nil {
		return dst, false
	}
	var room [maxPacket]byte
	b, index, err := k.keys.open.OpenRTP(room[:0], p.bytes(), false)
	if err != nil || len(b) < wire.ProbeSize || wire.Type(b[0]) != wire.TypeProbe {
		return dst, false
	}
	if k.began.IsZero() {
		k.began = now
		for i := range k.seen {
			k.seen[i].index = -1
		}
	}
	k.seen[index%int64(len(k.seen))] = knock{index, p.at, p.ecn}
	k.newest = max(k.newest, index)
	begin := max(0, k.newest-int64(len(k.seen))+1)
	var metrics [len(k.seen)]wire.Metric
	for i := begin; i <= k.newest; i++ {
		if s := &k.seen[i%int64(len(k.seen))]; s.index == i {
			metrics[i-begin] = wire.NewMetric(now.Sub(s.at), s.ecn)
		}
	}
	ssrc := wire.SSRC(tag, 0)
	plain := wire.AppendFeedback(room[:0], ssrc, h.SSRC, uint16(begin), metrics[:k.newest-begin+1], wire.ReportTime(now.Sub(k.began)))
	out, err := k.keys.seal.SealRTCP(append(dst, plain...), len(dst))
	return out, err == nil
}
