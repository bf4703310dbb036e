package quiclink

import (
	"time"

	"github.com/fairlead-live/fairlead/transport"
)

// publish takes a connection's numbers into the snapshot.
func (c *Client) publish(s *sending) {
	sender := s.tx.Stats()
	rtt := s.conn.ConnectionStats().SmoothedRTT
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live[s] = [2]transport.Stats{sender, s.theirs}
	c.stats.Sender, c.stats.Relay = c.base[0], c.base[1]
	for _, l := range c.live {
		c.stats.Sender, c.stats.Relay = sum(c.stats.Sender, l[0]), sum(c.stats.Relay, l[1])
	}
	if s.left {
		return
	}
	if n := c.stats.Sender.Feedback; n != c.reports || c.heardAt.IsZero() {
		c.reports, c.heardAt, c.sentThen = n, s.now, c.stats.Sender.FramesSent
	}
	c.stats.RTT, c.stats.Target, c.stats.Latency, c.stats.MTU = rtt, s.rate, s.latency, s.mtu.now
	s.explain(&c.stats)
	c.stats.Carriage = SRTP
	if s.frames != nil {
		c.stats.Carriage = Datagram
	}
	c.inside.look(s.now, s.frames != nil, s.rate)
}

// explain says why the target is what it is.
func (s *sending) explain(st *Stats) {
	if s.why != nil {
		st.Reason, st.Queue, st.Loss = s.why.Reason().String(), s.why.Queue(), s.why.Loss()
	}
}

// unanswered is how many frames may go without an answer: ours, a quarter of a second of a usual stream, ten reports.
const unanswered = 20

// Silent is for how long nothing has come of what was written: there is no connection, or the relay does not answer. 0: it
// does, or there is nothing to answer. That of half a second may be a bad moment; QUIC gives a connection up after eight.
func (c *Client) Silent() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stats.State == Reconnecting:
		return time.Since(c.lostAt)
	case c.stats.State == Connected && !c.heardAt.IsZero() && c.stats.Sender.FramesSent >= c.sentThen+unanswered:
		return time.Since(c.heardAt)
	}
	return 0
}

// settle keeps the numbers of a session that has ended.
func (c *Client) settle(s *sending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, l := range c.live[s] {
		c.base[i] = sum(c.base[i], l)
	}
	delete(c.live, s)
}

// sum adds two snapshots.
func sum(a, b transport.Stats) transport.Stats {
	for _, p := range [...]struct {
		to   *uint64
		from uint64
	}{
		{&a.Sent, b.Sent}, {&a.Delivered, b.Delivered}, {&a.Recovered, b.Recovered}, {&a.Late, b.Late}, {&a.Lost, b.Lost},
		{&a.InFlight, b.InFlight}, {&a.RecoveredByResend, b.RecoveredByResend}, {&a.RecoveredByRepair, b.RecoveredByRepair},
		{&a.FramesSent, b.FramesSent}, {&a.FramesDelivered, b.FramesDelivered}, {&a.FramesLost, b.FramesLost},
		{&a.BytesSent, b.BytesSent}, {&a.BytesReceived, b.BytesReceived}, {&a.SourceBytes, b.SourceBytes},
		{&a.Datagrams, b.Datagrams}, {&a.Resends, b.Resends}, {&a.Repairs, b.Repairs}, {&a.Probes, b.Probes}, {&a.Feedback, b.Feedback},
		{&a.FeedbackBytes, b.FeedbackBytes}, {&a.Marked, b.Marked},
	} {
		*p.to += p.from
	}
	for i, n := range b.Drops {
		a.Drops[i] += n
	}
	for i, n := range b.FramesDropped {
		a.FramesDropped[i] += n
	}
	return a
}
