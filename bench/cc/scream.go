package cc

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// scream is SCReAMv2 in outline, for comparison: draft-ietf-ccwg-rfc8298bis-screamv2-00's reference window with virtual
// marks from a queue delay target of 60 ms, growth of 5 % a round trip that slows near the last maximum, and 0.7 after a loss.
// It lacks shared bottleneck detection and real marks. On steady links it gives the figures of the authors' code to within
// two points and 10 ms; it stands for the order of size only.
type scream struct {
	cwnd, top    float64 // bytes; the window at the last congestion
	blocked      bool
	base         [6]time.Duration
	bucket       int64
	srtt, minRTT time.Duration
	queue        time.Duration
	alpha        float64
	cutAt, lossy time.Duration
	now          time.Duration
	inflight     int
	began        bool
}

const (
	screamTarget  = 60 * time.Millisecond
	screamLoss    = 0.7
	screamGrow    = 0.05
	screamLeast   = 3000.0
	screamVirtual = 25 * time.Millisecond // the least round trip that windows are counted by
	screamAfter   = 50                    // round trips after congestion, until growth is whole again
)

func newScream(start congestion.Bitrate) *scream {
	return &scream{cwnd: float64(start.Bytes(100 * time.Millisecond)), srtt: 100 * time.Millisecond}
}

func (s *scream) Sent(now time.Duration, size int) { s.now = now; s.inflight += size }

func (s *scream) Feedback(now, minRTT time.Duration, packets []congestion.Packet) {
	s.now, s.minRTT = now, minRTT
	acked, lost := 0, false
	least, newest := time.Duration(-1<<62), time.Duration(-1)
	if k := int64(now / (5 * time.Second)); k != s.bucket || !s.began {
		s.began, s.bucket = true, k
		s.base[k%6] = 1 << 62
	}
	for i := range packets {
		p := &packets[i]
		s.inflight = max(0, s.inflight-p.Size)
		if p.Lost {
			lost = true
			continue
		}
		acked += p.Size
		d := p.Arrival - p.Sent
		e := &s.base[s.bucket%6]
		*e = min(*e, d)
		least, newest = d, max(newest, p.Sent) // the newest packet's
	}
	if acked == 0 {
		return
	}
	base := time.Duration(1 << 62)
	for _, b := range s.base {
		if b != 0 {
			base = min(base, b)
		}
	}
	s.queue = least - base
	s.srtt += (now - newest - s.srtt) / 8
	rtt := max(s.srtt, screamVirtual)
	mark := max(0, min(1, (s.queue-screamTarget/2).Seconds()/(screamTarget/2).Seconds()))
	s.alpha += (mark - s.alpha) / 4
	near := 8 * (s.cwnd - s.top) / max(1, s.top)
	near = max(0.1, min(1, near*near))
	switch {
	case lost && now-s.lossy > rtt:
		s.lossy = now
		s.congested(now)
		s.cwnd *= screamLoss
	case mark > 0 && now-s.cutAt > rtt:
		s.congested(now)
		s.cwnd *= 1 - s.alpha/2
	case mark == 0:
		s.blocked = false
	}
	s.cwnd = max(screamLeast, s.cwnd)
	if float64(s.inflight+acked) > s.cwnd/2 {
		after := 0.2 + 0.8*min(1, (now-s.cutAt).Seconds()/(screamAfter*rtt.Seconds()))
		ratio := float64(acked) / s.cwnd * min(1, s.srtt.Seconds()/screamVirtual.Seconds())
		s.cwnd += ratio * (packetBytes*near + screamGrow*after*near*s.cwnd) * (1 - mark)
	}
}

func (s *scream) congested(now time.Duration) {
	s.cutAt = now
	if !s.blocked {
		s.top, s.blocked = s.cwnd, true
	}
}

func (s *scream) Rate() congestion.Bitrate {
	return max(100*congestion.Kbps, min(60*congestion.Mbps, congestion.Bitrate(s.cwnd*8/s.srtt.Seconds())))
}
func (s *scream) PacingRate() congestion.Bitrate { return s.Rate() * 3 / 2 }
func (s *scream) Window() int {
	if s.queue > screamTarget {
		return int(s.cwnd)
	}
	return int(1.5 * s.cwnd)
}
func (s *scream) Target() congestion.Bitrate { return s.Rate() * 10 / 11 }
func (s *scream) Padding() bool              { return false }
func (s *scream) Reason() congestion.Reason  { return congestion.Track }
func (s *scream) Loss() float64              { return 0 }
