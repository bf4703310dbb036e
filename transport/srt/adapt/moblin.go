package adapt

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// moblinStart is where Moblin's rules begin.
const moblinStart = congestion.Mbps

// follow keeps a bitrate near what is sent: a still picture takes less than it is allowed, and must not leave the way up open.
func follow(b, sent congestion.Bitrate) congestion.Bitrate {
	return min(b, max(sent+congestion.Mbps, sent*17/10))
}

// Constants of Moblin's own rule, its "fast" settings.
const (
	fightPackets = 200 // unacknowledged packets that are much
	fightUp      = 100 * congestion.Kbps
	fightDown    = 250 * congestion.Kbps // least of a step; else a tenth
	fightRTT     = 250                   // ms; a smoothed round trip above is too long
	fightSpike   = 50                    // ms above the smoothed one
	fightPIF     = 100                   // smoothed packets that are too many
)

// MoblinFight is Moblin's own rule: a ceiling that rises while packets in flight and round trip are calm and falls by tenths
// where they are not, and below it a bitrate that gives way at once when the packets in flight run away.
type MoblinFight struct {
	Range
	rtt, fastRTT  float64 // ms
	pif, fastPIF  float64
	ceiling, last congestion.Bitrate
}

// NewMoblinFight makes one.
func NewMoblinFight(r Range) *MoblinFight {
	start := moblinStart
	if r.Start > 0 {
		start = r.Start
	}
	return &MoblinFight{Range: r, ceiling: r.clamp(start)}
}

// Every is 200 ms.
func (m *MoblinFight) Every() time.Duration { return 200 * time.Millisecond }

// Update takes a sample.
func (m *MoblinFight) Update(_ time.Duration, s Sample) congestion.Bitrate {
	rtt, pif := float64(s.RTT)/1e6, float64(s.Buffered)
	m.learn(rtt, pif)
	over := min(max(pif-m.pif, 0), fightPackets)
	if m.pif < fightPackets && m.fastRTT <= m.rtt+15 && pif-m.pif < 10 {
		m.ceiling = min(m.ceiling+congestion.Bitrate(float64(fightUp)*(fightPackets-over)/fightPackets), m.Max)
	}
	for _, bad := range [...]bool{m.pif > fightPIF, m.rtt > fightRTT, rtt > m.rtt+fightSpike} {
		if bad {
			m.ceiling -= max(m.ceiling/10, fightDown)
		}
	}
	away := m.fastPIF - m.pif
	if away >= fightPackets {
		m.ceiling -= 500 * congestion.Kbps
		m.ceiling = m.ceiling * 95 / 100
	}
	m.ceiling = max(follow(m.ceiling, s.SendRate), m.Min)
	give := min(away, fightPackets)
	if give <= fightPackets/5 {
		give = 0
	}
	m.last = max(congestion.Bitrate(float64(m.ceiling)*(fightPackets-give)/fightPackets), m.Min)
	if away > 2*fightPackets {
		m.last = m.Min
	}
	return m.last
}

// learn keeps the averages; they fall faster than they rise.
func (m *MoblinFight) learn(rtt, pif float64) {
	weight := func(v *float64, x, up, down float64) {
		if x > *v {
			*v += (x - *v) * up
		} else {
			*v += (x - *v) * down
		}
	}
	if m.rtt < 1 {
		m.rtt = rtt
	}
	weight(&m.pif, pif, 0.03, 0.1)
	m.fastPIF += (pif - m.fastPIF) * 0.33
	if rtt < 450 {
		weight(&m.rtt, rtt, 0.04, 0.4)
	} else {
		m.rtt = m.rtt*0.96 + 0.45 // of a very long one hardly anything
	}
	m.rtt = min(m.rtt, 450)
	weight(&m.fastRTT, rtt, 0.1, 0.3)
}
