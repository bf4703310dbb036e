package show

import (
	"slices"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// RIST is a model of libRIST's main profile, version 0.2.7, as ristsender and ristreceiver run it: the rules are those of its
// src/rist-common.c, udp.c and flow.c (names in brackets), the buffer is the latency. Not modelled: that a sender whose address changes
// shakes hands anew, and that peers time out; both cost libRIST something.
func RIST(name, about string) Scheme {
	return Scheme{Name: name, About: about, New: func(st *Stage) (Sender, error) {
		r := &rist{st: st, rttAtSender: ristRTTLeast, rttAtReceiver: ristRTTLeast, buffer: st.Latency}
		st.Every(ristTick, r.tick)
		st.Every(ristEcho, r.echo)
		return r, nil
	}}
}

const (
	ristTick     = 5 * time.Millisecond   // both threads' loop [RIST_MAX_JITTER]
	ristEcho     = 100 * time.Millisecond // [RIST_PING_INTERVAL]
	ristRTTLeast = 5 * time.Millisecond   // [RIST_DEFAULT_RECOVERY_RTT_MIN, _MAX]
	ristRTTMost  = 500 * time.Millisecond
	ristReorder  = 15 * time.Millisecond // [RIST_DEFAULT_RECOVERY_REORDER_BUFFER]
	ristRetries  = 20                    // [RIST_DEFAULT_MAX_RETRIES]
	ristMbps     = 100                   // [RIST_DEFAULT_RECOVERY_MAXBITRATE]
	ristNacks    = 200                   // of a packet [RIST_MAX_NACKS]
	ristSamples  = 2048                  // of the clocks' distance, of which the median is taken [recalculate_clock_offset]

	ristHeaders = 28 + 8 + 12    // IP and UDP, GRE with ports, RTP
	ristReport  = 28 + 8 + 8 + 4 // and a feedback message's head; 4 bytes for each range of requests
	ristPing    = 28 + 8 + 64    // an empty receiver's report, a name, an echo
)

// ristPacket is a payload of seven transport stream packets, or less.
type ristPacket struct {
	Frame
	part, of int
	size     int
	sent     time.Duration // the source's time
	asked    time.Duration // 0: never
	queued   bool
	resent   int
}

type ristHeld struct{ came, due time.Duration }

type ristMissing struct {
	seq     int
	since   time.Duration // when it should have come
	next    time.Duration
	count   int
	counted bool
}

// rist is both ends. The packets stay where they are: a minute of media is 25,000.
type rist struct {
	st     *Stage
	buffer time.Duration

	packets     []*ristPacket // by sequence number
	again       []int         // to be sent again
	resentBits  float64       // of the last second or so
	rttAtSender time.Duration

	rttAtReceiver time.Duration
	running       bool // has items
	offset        time.Duration
	offsets       []time.Duration
	have          map[int]ristHeld // what waits to be released
	found         int              // newest in order of first sendings
	newest        time.Duration    // its time
	out           int              // next to be released
	lastOut       time.Duration
	missing       []*ristMissing
	nacked        int // of the missing, asked for at least once
	frame         Frame
	parts         int
}

// Write sends a frame's payloads at once.
func (r *rist) Write(f Frame) {
	total := tsBytes(f.Size)
	n := (total + srtPayload - 1) / srtPayload
	for i := range n {
		p := &ristPacket{Frame: f, part: i, of: n, size: min(srtPayload, total), sent: r.st.Elapsed()}
		total -= p.size
		r.packets = append(r.packets, p)
		r.send(len(r.packets)-1, false)
	}
}

func (r *rist) send(seq int, again bool) {
	r.st.Send(r.packets[seq].size+ristHeaders, func() { r.arrive(seq, again) })
}

// echo asks for the round trip in both directions.
func (r *rist) echo() {
	r.ping(r.st.Send, r.st.Reply, &r.rttAtSender)
	r.ping(r.st.Reply, r.st.Send, &r.rttAtReceiver)
}

func (r *rist) ping(there, back func(int, func()), rtt *time.Duration) {
	at := r.st.Elapsed()
	there(ristPing, func() {
		back(ristPing, func() { *rtt += (r.st.Elapsed() - at - *rtt) / 8 })
	})
}

func ristRTT(rtt time.Duration) time.Duration { return min(max(rtt, ristRTTLeast), ristRTTMost) }

// asked queues what the receiver asks for [rist_retry_enqueue].
func (r *rist) asked(seqs []int) {
	now := r.st.Elapsed()
	for _, seq := range seqs {
		p := r.packets[seq]
		if now-p.sent > r.buffer+2*ristRTTMost || p.queued || p.asked > 0 && now-p.asked < ristRTT(r.rttAtSender) {
			continue
		}
		p.asked, p.queued = now, true
		r.again = append(r.again, seq)
	}
}

// tick is a round of both loops.
func (r *rist) tick() {
	r.resend()
	r.request()
	r.release()
}

// resend is [sender_send_nacks, rist_retry_dequeue].
func (r *rist) resend() {
	most := 2 * int(ristMbps*1000*int(ristTick/time.Millisecond)/(8*1400)*1000/int(r.buffer/time.Millisecond))
	r.resentBits -= r.resentBits * ristTick.Seconds()
	for n := 0; len(r.again) > 0 && n < max(2, most); n++ {
		seq := r.again[0]
		r.again = r.again[1:]
		p := r.packets[seq]
		p.queued = false
		if r.resentBits > ristMbps*1e6 || p.resent >= ristRetries {
			continue
		}
		p.resent++
		r.resentBits += float64(p.size+ristHeaders) * 8
		r.send(seq, true)
	}
}

// arrive is [receiver_enqueue].
func (r *rist) arrive(seq int, again bool) {
	now, p := r.st.Elapsed(), r.packets[seq]
	if !r.running {
		if again || seq < r.out {
			return
		}
		r.running, r.offset = true, now-p.sent
		r.have, r.missing, r.nacked = map[int]ristHeld{seq: {now, now + r.buffer}}, nil, 0
		r.out, r.found, r.newest, r.lastOut = seq, seq, p.sent, now
		return
	}
	if seq < r.out {
		return // its place in the ring was passed
	}
	older := p.sent < r.newest && seq != r.found+1
	if older && now > p.sent+r.offset+r.buffer*11/10 {
		return
	}
	if _, ok := r.have[seq]; ok {
		return
	}
	r.have[seq] = ristHeld{now, p.sent + r.offset + r.buffer}
	r.newest = max(r.newest, p.sent)
	if again || older || seq < r.found {
		return
	}
	if seq > r.found+1 {
		r.miss(seq)
	} else if r.offsets = append(r.offsets, now-p.sent); len(r.offsets) == ristSamples {
		slices.Sort(r.offsets)
		r.offset, r.offsets = r.offsets[ristSamples/2], r.offsets[:0]
	}
	r.found = seq
}

// miss notes what lies between the newest and one that has come [receiver_mark_missing, rist_receiver_missing].
func (r *rist) miss(seq int) {
	now := r.st.Elapsed()
	wait := max(ristRTT(r.rttAtReceiver)/2, ristReorder)
	most := int(r.buffer/time.Millisecond) * ristMbps / 24
	begin, end := r.packets[r.found].sent+r.offset, r.packets[seq].sent+r.offset
	for i := r.found + 1; i < seq && r.nacked <= most; i++ {
		since := min(now, begin+(end-begin)*time.Duration(i-r.found)/time.Duration(seq-r.found))
		if since < now-r.buffer {
			since = now
		}
		r.missing = append(r.missing, &ristMissing{seq: i, since: since, next: now + wait})
	}
}

// request asks for what is missing and due [receiver_nack_output, rist_process_nack].
func (r *rist) request() {
	now := r.st.Elapsed()
	var ask []int
	kept := r.missing[:0]
	for _, m := range r.missing {
		if _, ok := r.have[m.seq]; ok || m.count >= ristRetries || now-m.since > r.buffer*11/10 {
			if m.counted {
				r.nacked--
			}
			continue
		}
		kept = append(kept, m)
		if now < m.next {
			continue
		}
		if !m.counted {
			m.counted = true
			r.nacked++
		}
		m.next = now + ristRTT(r.rttAtReceiver)*11/10
		m.count++
		ask = append(ask, m.seq)
	}
	r.missing = kept
	for part := range slices.Chunk(ask, ristNacks) {
		ranges := 0
		for i := range part {
			if i == 0 || part[i] != part[i-1]+1 {
				ranges++
			}
		}
		r.st.Reply(ristReport+4*ranges, func() { r.asked(part) })
	}
}

// release gives out what is due [receiver_output].
func (r *rist) release() {
	now := r.st.Elapsed()
	for len(r.have) > 0 {
		next := r.out
		for {
			if _, ok := r.have[next]; ok {
				break
			}
			next++
		}
		if h := r.have[next]; h.due > now && now-h.came <= r.buffer*11/10 {
			return
		}
		delete(r.have, next)
		r.out, r.lastOut = next+1, now
		r.pop(r.packets[next])
	}
	if r.running && now-r.lastOut > r.buffer {
		r.running = false // "stream is dead": what comes next begins anew
	}
}

func (r *rist) pop(p *ristPacket) {
	if p.Frame != r.frame || p.part == 0 {
		r.frame, r.parts = p.Frame, 0
	}
	if r.parts != p.part {
		return
	}
	if r.parts++; r.parts == p.of {
		r.st.Deliver(p.Frame)
	}
}

func (r *rist) Target() congestion.Bitrate { return 0 }
func (r *rist) KeyframeWanted() bool       { return false }
func (r *rist) Finish() Counts             { return Counts{} }
