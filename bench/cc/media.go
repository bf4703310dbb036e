package cc

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// media is a live stream: encoder, queue, pacer and window, with a Controller or at a fixed rate.
type media struct {
	w      *world
	i      int
	spec   Flow
	ctl    governor // nil: fixed
	enc    encoder
	advice congestion.Advice
	pacer  congestion.Pacer
	air    *flight
	queue  []waiting // resends first
	head   int
	queued int // bytes
	wake   time.Duration
	minRTT time.Duration
	heard  time.Duration
	tried  time.Duration // the last tail probe
	tries  int           // since a report came
	got    ledger
	due    bool // a report is scheduled
	batch  []congestion.Packet
	told   congestion.Bitrate
	split  congestion.Budget
	repair float64 // bytes of repair owed

	stale int // bytes dropped unsent
}

// governor is what decides a stream's rate: a congestion.Controller, or what it is compared with.
type governor interface {
	Sent(now time.Duration, size int)
	Feedback(now, minRTT time.Duration, packets []congestion.Packet)
	Rate() congestion.Bitrate
	PacingRate() congestion.Bitrate
	Window() int
	Target() congestion.Bitrate
	Padding() bool
	Reason() congestion.Reason
	Loss() float64
}

type waiting struct {
	size int
	kind uint8
	born time.Duration
}

const (
	kindMedia uint8 = iota
	kindRepair
	kindResend
	kindPad
)

const (
	packetBytes = 1228 // on the wire
	packetExtra = 63   // quic_cc.md §2.6
	staleAfter  = 400 * time.Millisecond
	reportEvery = 20 * time.Millisecond
	reportBatch = 16
	reportBytes = 158
	silentFor   = time.Second
	tailWait    = 50 * time.Millisecond
	tailMost    = 3 // doublings
)

func newMedia(w *world, i int, spec Flow) *media {
	m := &media{w: w, i: i, spec: spec, air: newFlight()}
	m.enc = encoder{rand: w.Rand("encoder" + string(rune('0'+i))), max: spec.Rate, still: [2]int{int(spec.Still[0] / frameEvery), int(spec.Still[1] / frameEvery)}}
	m.told = w.sc.Start
	if m.told == 0 {
		m.told = congestion.Mbps
	}
	switch spec.Kind {
	case Ours:
		m.ctl = congestion.New(congestion.Config{Start: m.told, Max: 60 * congestion.Mbps})
	case SCReAM:
		m.ctl = newScream(m.told)
	case Oracle:
		m.ctl = newOracle(w, spec)
	default:
		m.told = spec.Rate
	}
	m.enc.latest = m.told
	for k := range m.enc.told {
		m.enc.told[k] = m.told
	}
	return m
}

func (m *media) start() {
	m.heard = m.w.Elapsed()
	var tick func()
	tick = func() {
		m.picture()
		m.w.After(frameEvery, tick)
	}
	tick()
}

// picture takes a frame from the encoder.
func (m *media) picture() {
	now := m.w.Elapsed()
	m.steer(now)
	if m.ctl != nil && now-m.heard > silentFor && m.air.bytes > 0 && m.w.Elapsed() > silentFor {
		m.silent(now)
	}
	n := m.enc.next()
	m.push(n, kindMedia, now)
	if m.ctl != nil && m.air.bytes > 0 && now-max(m.heard, m.tried) > (2*m.minRTT+tailWait)<<m.tries {
		m.tried, m.tries = now, min(m.tries+1, tailMost)
		m.send(waiting{packetBytes, kindPad, now}) // all that is in flight may be lost: a probe tells, as RFC 9002 §6.2, ever more rarely
	}
	if m.split.Video > 0 {
		m.repair += float64(n) * float64(m.split.FEC) / float64(m.split.Video+m.split.Audio)
		if m.repair >= packetBytes {
			m.push(int(m.repair), kindRepair, now)
			m.repair = 0
		}
	}
	m.pump()
}

// steer tells the encoder what the path carries.
func (m *media) steer(now time.Duration) {
	if m.ctl == nil {
		return
	}
	d := congestion.Demand{Resend: m.ctl.Loss(), Backlog: max(0, m.queued-m.ctl.Rate().Bytes(80*time.Millisecond)), Drain: time.Second}
	if m.ctl.Reason() == congestion.Outage {
		d.Backlog = 0 // it is stale before it can be sent
	}
	if p := m.ctl.Loss(); !m.w.sc.NoFEC && p > 0.005 {
		d.FEC = min(0.3, p)
	}
	m.split = congestion.Split(m.ctl.Target(), d, 0)
	// packet headers come out of the video's share
	want := congestion.Bitrate(float64(m.split.Video) * (packetBytes - packetExtra) / packetBytes)
	if told, say := m.advice.Update(now, want); say {
		if told < m.told && m.i == 0 {
			m.w.score.lowered = append(m.w.score.lowered, now)
		}
		m.told = told
		m.enc.latest = told
	}
}

func (m *media) push(n int, kind uint8, born time.Duration) {
	for k := (n + packetBytes - packetExtra - 1) / (packetBytes - packetExtra); k > 0; k-- {
		size := n/k + packetExtra
		n -= n / k
		m.queue = append(m.queue, waiting{size, kind, born})
		m.queued += size
	}
}

// silent is what the session does after a second without feedback: what was in flight is forgotten.
func (m *media) silent(now time.Duration) {
	m.batch = m.batch[:0]
	for seq := m.air.una; seq < m.air.next; seq++ {
		if p := m.air.at(seq); p.state == flying && p.sent <= now-silentFor {
			m.batch = append(m.batch, congestion.Packet{Sent: p.sent, Size: p.size, Lost: true})
		}
	}
	m.air.forget(now - silentFor)
	m.ctl.Feedback(now, m.minRTT, m.batch)
}

func (m *media) pump() {
	now := m.w.Elapsed()
	for {
		rate := m.spec.Rate * 2
		if m.ctl != nil {
			rate = m.ctl.PacingRate()
			if m.air.bytes >= m.ctl.Window() {
				return
			}
		}
		if next := m.pacer.Next(); now < next {
			if m.wake <= now || next < m.wake {
				m.wake = next
				m.w.At(next, m.pump)
			}
			return
		}
		it, ok := m.pop(now)
		if !ok {
			if m.ctl == nil || !m.ctl.Padding() {
				return
			}
			it = waiting{packetBytes, kindPad, now}
		}
		m.pacer.Sent(now, it.size, rate)
		m.send(it)
	}
}

func (m *media) send(it waiting) {
	now := m.w.Elapsed()
	if m.ctl != nil {
		m.ctl.Sent(now, it.size)
	}
	seq := m.air.push(packet{sent: now, size: it.size, kind: it.kind, born: it.born})
	wait := m.w.send(m.i, seq, it.size)
	m.w.score.left(m.i, now, now-it.born, wait, it.kind, it.size)
}

// pop takes the next packet that is not stale.
func (m *media) pop(now time.Duration) (waiting, bool) {
	for m.head < len(m.queue) {
		it := m.queue[m.head]
		m.head++
		m.queued -= it.size
		if m.head == len(m.queue) {
			m.queue, m.head = m.queue[:0], 0
		}
		if m.ctl != nil && now-it.born > staleAfter {
			m.stale += it.size
			continue
		}
		return it, true
	}
	return waiting{}, false
}

func (m *media) arrive(now time.Duration, seq int64, _ int, ce bool) {
	at := now + time.Duration(m.w.sc.Drift*1e-6*float64(now)) + 1234567*time.Microsecond
	at = at / 976563 * 976563 // 1/1024 s, RFC 8888
	m.got.add(got{seq, at, ce})
	if m.got.fresh >= reportBatch {
		m.tell()
	} else if !m.due {
		m.due = true
		m.w.After(reportEvery, func() {
			m.due = false
			m.tell()
		})
	}
}

func (m *media) tell() {
	now := m.w.Elapsed()
	at := now + time.Duration(m.w.sc.Drift*1e-6*float64(now)) + 1234567*time.Microsecond
	if r := m.got.report(at); r != nil {
		m.w.back(m.i, r, reportBytes)
	}
}

func (m *media) reply(now time.Duration, r *report) {
	if m.ctl == nil {
		m.air.take(r, func(*packet, bool) {})
		return
	}
	m.batch = m.batch[:0]
	var newest time.Duration
	m.air.take(r, func(p *packet, lost bool) {
		m.batch = append(m.batch, congestion.Packet{Sent: p.sent, Arrival: p.arrival, Size: p.size, Lost: lost, CE: p.ce})
		if !lost {
			newest = p.sent
			return
		}
		if p.kind == kindMedia && now-p.born < staleAfter-100*time.Millisecond {
			m.front(waiting{p.size, kindResend, p.born})
		}
	})
	if newest > 0 {
		m.heard, m.tries = now, 0
		if rtt := now - newest; m.minRTT == 0 || rtt < m.minRTT {
			m.minRTT = rtt
		}
	}
	if len(m.batch) > 0 {
		m.ctl.Feedback(now, m.minRTT, m.batch)
	}
	m.steer(now)
	m.pump()
}

// front puts a resend before all else.
func (m *media) front(it waiting) {
	m.queued += it.size
	if m.head > 0 {
		m.head--
		m.queue[m.head] = it
		return
	}
	m.queue = append(m.queue, waiting{})
	copy(m.queue[1:], m.queue)
	m.queue[0] = it
}
