package quiclink

import (
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// beside knows whether media beside QUIC arrives.
type beside struct {
	reports       uint64    // of the relay, that have come
	since         time.Time // when the last one came, or the first media left
	sent          uint64    // datagrams until then
	arrives       bool      // a report has come over this connection
	first, newest time.Time // statistics that QUIC has brought since: the first and the newest
}

// answered is told that QUIC has brought statistics, as it does once a second, and how many datagrams have been sent. An encoder that pauses
// leaves nothing to report.
func (b *beside) answered(now time.Time, sent uint64) {
	if b.since.IsZero() || now.Sub(b.since) <= fallbackAfter/4 || sent < b.sent+unanswered/2 {
		return
	}
	if b.first.IsZero() {
		b.first = now
	}
	b.newest = now
}

// look reports whether QUIC arrives and what is beside it does not: from the start, or from now on. After an outage of both, QUIC may be
// heard first: it has been heard for a second then.
func (b *beside) look(now, began time.Time, reports, sent uint64) (blocked bool) {
	if came := reports != b.reports; came || b.since.IsZero() {
		b.arrives = b.arrives || came
		b.reports, b.sent, b.since = reports, sent, now
		b.first, b.newest = time.Time{}, time.Time{}
		if !came {
			b.since = began
		}
		return false
	}
	if b.arrives {
		return b.newest.Sub(b.first) >= fallbackAfter*2/5 // the next statistics, or the one after
	}
	return !b.first.IsZero() && now.Sub(b.since) > fallbackAfter
}

// lookAtMedia finds out that a network lets QUIC through and not what is beside it.
func (s *sending) lookAtMedia() error {
	if s.target.Carriage != Auto || s.frames != nil || s.began.IsZero() {
		return nil
	}
	if st := s.tx.Stats(); s.beside.look(s.now, s.began, st.Feedback, st.Datagrams) {
		return errNoMedia
	}
	return nil
}

// inside knows whether QUIC carries media that are inside of it.
type inside struct {
	written uint64 // bytes of frames, in all
	then    uint64 // of them at
	at      time.Time
	since   time.Time // it carries too little; zero: it does not, or media are not inside
}

// starvedShare of what is written: below it the way does not carry the stream. Ours: the target is above the stream where there is room, and
// an encoder that follows is at it.
const starvedShare = 0.6

// look is told the target, five times a second.
func (i *inside) look(now time.Time, is bool, target congestion.Bitrate) {
	if !is {
		i.since = time.Time{}
	}
	d := now.Sub(i.at)
	if d < time.Second {
		return
	}
	rate := float64(i.written-i.then) * 8 / d.Seconds()
	first := i.at.IsZero()
	i.then, i.at = i.written, now
	switch {
	case !is || first || float64(target) >= starvedShare*rate:
		i.since = time.Time{}
	case i.since.IsZero():
		i.since = now
	}
}

// Starved is for how long media inside QUIC has been held up: QUIC's own congestion control lets less than 60 % of what is written through, as it
// does where packets are lost. 0: it is not, or media goes beside QUIC.
func (c *Client) Starved() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inside.since.IsZero() || c.stats.State != Connected {
		return 0
	}
	return time.Since(c.inside.since)
}
