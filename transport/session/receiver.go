package session

import (
	"fmt"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/playout"
	"github.com/fairlead-live/fairlead/transport/seq"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// outage is how long nothing must have authenticated for the next ROC to be tried too: ours; half a lap of
// the 16-bit sequence takes 4 s at 8000 packets/s.
const outage = 3 * time.Second

// Receiver turns datagrams into frames. It is owned by one goroutine; it holds no lock.
type Receiver struct {
	cfg     Config
	zero    time.Time
	buffer  *playout.Buffer
	decoder *fec.Decoder
	record  *recorder
	heard   time.Duration // when the newest packet authenticated
	sentAt  int64         // newest send time, µs, to unwrap the next
	open    []byte
	stats   transport.Stats
	queue   congestion.Standing
}

// NewReceiver makes a receiver whose clock's zero is now.
func NewReceiver(now time.Time, cfg Config) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	decoder, err := fec.NewDecoder(cfg.decoderConfig())
	if err != nil {
		return nil, fmt.Errorf("session: receiver: %w", err)
	}
	return &Receiver{
		cfg: cfg, zero: now, decoder: decoder, record: newRecorder(),
		buffer: playout.New(playout.Config{Packets: cfg.packets(), Latency: cfg.Latency, InOrder: cfg.InOrder, Most: cfg.MaxLatency}),
		open:   make([]byte, 0, maxMTU),
	}, nil
}

func (r *Receiver) since(now time.Time) time.Duration { return max(0, now.Sub(r.zero)) }

// Queue is the delay that stands at the bottleneck; 0 while nothing comes.
func (r *Receiver) Queue(now time.Time) time.Duration { return r.queue.Queue(r.since(now)) }

// Missing is how many packets of any kind have not come of those that were sent up to the newest one: what the path lost, and what it reordered
// and has not brought yet.
func (r *Receiver) Missing() uint64 { return uint64(max(0, r.record.missing)) }

// Silence is how long nothing has come that could be believed: media, probes or repair.
func (r *Receiver) Silence(now time.Time) time.Duration { return r.since(now) - r.heard }

// Stats returns a snapshot. Sent is what has been accounted for: Combine it with the sender's.
func (r *Receiver) Stats() transport.Stats {
	st := r.stats
	c := r.buffer.Counts()
	st.Delivered, st.RecoveredByResend, st.RecoveredByRepair = c.Delivered, c.Resent, c.Repaired
	st.Recovered, st.Late, st.Lost = c.Resent+c.Repaired, c.Late, c.Lost
	st.FramesDelivered, st.FramesLost = c.Frames, c.FramesLost
	st.Sent = st.Delivered + st.Recovered + st.Late + st.Lost
	return st
}

// HandleDatagram takes in one media datagram that was not ECN-capable. Borrows b.
func (r *Receiver) HandleDatagram(now time.Time, b []byte) { r.HandleECN(now, b, 0) }

// ecnCE is congestion experienced, RFC 3168 §5.
const ecnCE = 3

// HandleECN takes in one media datagram with the ECN bits of its IP header. now is when it arrived, as well as that is known: what was
// done since with a later time does not matter. Borrows b.
func (r *Receiver) HandleECN(now time.Time, b []byte, ecn uint8) {
	at := r.since(now)
	r.stats.BytesReceived += uint64(len(b))
	h, body, err := wire.ParseRTP(b)
	if err != nil || h.SSRC>>wire.EpochBits != r.cfg.Tag || wire.IsRTCP(b) {
		r.drop(transport.DropMalformed)
		return
	}
	index := seq.Unwrap16(max(0, r.record.highest), h.Sequence)
	if r.cfg.Open != nil {
		body, index, err = r.cfg.Open.OpenRTP(r.open[:0], b, at-r.heard > outage)
		if err != nil {
			r.drop(openError(err))
			return
		}
	}
	if index < 0 || len(body) == 0 {
		r.drop(transport.DropMalformed)
		return
	}
	if !r.record.add(at, index, ecn) {
		r.drop(transport.DropReplayed)
		return
	}
	if ecn == ecnCE {
		r.stats.Marked++
	}
	r.heard = at
	sent := seq.Unwrap32(r.sentAt, h.SendTime)
	r.sentAt = max(r.sentAt, sent)
	send := time.Duration(sent) * time.Microsecond
	r.buffer.Heard(at, at-send)
	r.queue.Add(at, at-send)
	r.handleBody(at, send, index, body)
	r.record.expects.awaits = r.buffer.Missing() > 0
}

func (r *Receiver) handleBody(now, sent time.Duration, index int64, body []byte) {
	kind, rest := wire.Type(body[0]), body[1:]
	switch kind {
	case wire.TypeSource:
		r.handleSource(now, sent, rest, playout.First)
	case wire.TypeResend:
		r.record.answered()
		r.handleSource(now, sent, rest, playout.Resent)
	case wire.TypeRepair:
		r.record.answered()
		r.handleRepair(now, sent, index, rest)
	case wire.TypeProbe:
		next, err := wire.ParseProbe(rest)
		if err != nil {
			r.drop(transport.DropMalformed)
			return
		}
		if n, ok := r.media(next); ok {
			r.buffer.Known(n)
		}
	case wire.TypeAbandon:
		a, err := wire.ParseAbandon(rest)
		if err != nil {
			r.drop(transport.DropMalformed)
			return
		}
		if n, ok := r.media(a.Base); ok {
			r.buffer.Abandon(n, int(a.Count))
		}
	default:
		r.drop(transport.DropUnknown)
	}
}

// media unwraps a media sequence number.
func (r *Receiver) media(n uint32) (int64, bool) {
	m := seq.Unwrap32(r.buffer.End(), n)
	if m < 0 {
		r.drop(transport.DropOutOfRange)
	}
	return m, m >= 0
}

func (r *Receiver) handleSource(now, sent time.Duration, symbol []byte, how playout.How) {
	s, err := wire.ParseSource(symbol)
	if err != nil {
		r.drop(transport.DropMalformed)
		return
	}
	n, ok := r.media(s.Sequence)
	if !ok {
		return
	}
	if how == playout.First {
		r.record.expects.frame(now, sent, s.Flags.Has(wire.Start), s.Flags.Has(wire.End))
	}
	if !r.insert(now, sent, n, &s, how) {
		return
	}
	r.decoder.Source(n, symbol)
	r.recovered(now, sent)
}

// handleRepair takes in the repair in packet index. The sender has to know of one that came and was of no use, for it keeps count of what this end lacks:
// of the packets that it covers some are missing, and of others the decoder has given up the bytes, say, or it is one of the same row over again.
func (r *Receiver) handleRepair(now, sent time.Duration, index int64, body []byte) {
	p, err := wire.ParseRepair(body)
	if err != nil {
		r.drop(transport.DropMalformed)
		return
	}
	base, ok := r.media(p.Base)
	if !ok {
		return
	}
	r.stats.Repairs++
	why := r.decoder.Repair(base, p.Count, p.Row, p.Symbol)
	if why != fec.Kept && why != fec.DropNotNeeded && p.Flags&wire.RepairSliding == 0 && r.buffer.Lacks(base, p.Count) {
		r.record.useless(index)
	}
	switch why {
	case fec.Kept:
		r.buffer.Known(base + int64(p.Count))
		r.recovered(now, sent)
	case fec.DropNotNeeded, fec.DropDependent, fec.DropOld: // what was sent ahead and not needed
	case fec.DropFull:
		r.drop(transport.DropNoRoom)
	case fec.DropAhead, fec.DropRange:
		r.drop(transport.DropOutOfRange)
	default:
		r.drop(transport.DropRepairInvalid)
	}
}

// recovered takes what the decoder has solved.
func (r *Receiver) recovered(now, sent time.Duration) {
	for {
		n, symbol, ok := r.decoder.Recovered()
		if !ok {
			return
		}
		s, err := wire.ParseSource(symbol)
		if err != nil || s.Sequence != uint32(n) {
			r.drop(transport.DropRepairInvalid)
			continue
		}
		r.insert(now, sent, n, &s, playout.Repaired)
	}
}

func (r *Receiver) insert(now, sent time.Duration, n int64, s *wire.Source, how playout.How) bool {
	switch r.buffer.Insert(now, sent, n, s, how) {
	case playout.Duplicate:
		r.drop(transport.DropDuplicate)
	case playout.TooLate:
		r.drop(transport.DropLate)
		return true // of no use to the player, but its equation may still help younger packets
	default:
		if how == playout.Resent {
			r.record.expects.takes.saw(r.buffer.Waited())
		}
		if base, count, ok := r.buffer.Whole(n); ok {
			r.decoder.Settle(base, count)
		}
		return true
	}
	return false
}

func (r *Receiver) drop(why transport.DropReason) { r.stats.Drops[why]++ }

// PopPayload releases the next frame that is due, or in order. The payload's data is lent until the next call.
func (r *Receiver) PopPayload(now time.Time) (transport.Payload, bool) {
	p, arrival, due, ok := r.buffer.Pop(r.since(now))
	r.decoder.Expire(r.buffer.Next())
	r.record.expects.awaits = r.buffer.Missing() > 0
	if !ok {
		return transport.Payload{}, false
	}
	p.Arrival, p.Deadline = r.zero.Add(arrival), r.zero.Add(due)
	return p, true
}

// AppendDatagram appends a feedback report to dst when one is due.
func (r *Receiver) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	at := r.since(now)
	if due := r.record.due(); due == 0 || at < due {
		return dst, false
	}
	start := len(dst)
	out := r.record.append(dst, at, r.cfg.ssrc())
	if r.cfg.Seal != nil {
		sealed, err := r.cfg.Seal.SealRTCP(out, start)
		if err != nil {
			return dst, false
		}
		out = sealed
	}
	r.stats.Feedback++
	r.stats.Datagrams++
	r.stats.BytesSent += uint64(len(out) - start)
	r.stats.FeedbackBytes += uint64(len(out) - start)
	return out, true
}

// NextTimeout is when AppendDatagram or PopPayload has something to do if nothing arrives before.
func (r *Receiver) NextTimeout() time.Time {
	at := r.record.due()
	if p := r.buffer.NextTimeout(); p > 0 && (at == 0 || p < at) {
		at = p
	}
	if at == 0 {
		return time.Time{}
	}
	return r.zero.Add(at)
}
