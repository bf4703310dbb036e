package api

import (
	"strconv"

	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/rtmpout"
	"github.com/fairlead-live/fairlead/bridge/stutter"
	"github.com/prometheus/client_golang/prometheus"
)

// metric is one family: what docs/metrics.md lists and what /metrics serves.
type metric struct {
	name, help string
	counter    bool
	labels     []string
}

// Labels are bounded: a stream is one that was admitted, a destination is configured.
var (
	mUp            = metric{"fairlead_stream_live", "1 while somebody publishes, 0 while held", false, []string{"stream"}}
	mBitrate       = metric{"fairlead_stream_bitrate_bps", "media bit rate over the last 2 s", false, []string{"stream"}}
	mFrames        = metric{"fairlead_stream_frames_total", "frames published", true, []string{"stream"}}
	mBytes         = metric{"fairlead_stream_bytes_total", "media bytes published", true, []string{"stream"}}
	mPublishes     = metric{"fairlead_stream_publishes_total", "publishers so far", true, []string{"stream"}}
	mTakeovers     = metric{"fairlead_stream_takeovers_total", "publishers that took the key from another one", true, []string{"stream"}}
	mSlow          = metric{"fairlead_stream_slow_players_total", "players of a transport stream that is passed through, cut because they did not keep up", true, []string{"stream"}}
	mInUse         = metric{"fairlead_stream_refused_publishers_total", "publishers refused because another one had the key", true, []string{"stream"}}
	mHeld          = metric{"fairlead_stream_held_frames_total", "frames made by the relay while nobody published", true, []string{"stream"}}
	mJumps         = metric{"fairlead_stream_timeline_jumps_total", "breaks of the publisher's timeline", true, []string{"stream"}}
	mPlayers       = metric{"fairlead_stream_players", "players", false, []string{"stream"}}
	mPlayerDropped = metric{"fairlead_stream_player_dropped_frames", "frames that players present now have lost to full queues", false, []string{"stream"}}
	mRTT           = metric{"fairlead_link_rtt_seconds", "round trip to the publisher", false, []string{"stream", "protocol"}}
	mLatency       = metric{"fairlead_link_latency_seconds", "latency agreed with the publisher", false, []string{"stream", "protocol"}}
	mReceived      = metric{"fairlead_link_received_packets_total", "packets received of the publisher there is", true, []string{"stream", "protocol"}}
	mLost          = metric{"fairlead_link_lost_packets_total", "packets missing at first", true, []string{"stream", "protocol"}}
	mResent        = metric{"fairlead_link_retransmitted_packets_total", "packets repaired by sending them again", true, []string{"stream", "protocol"}}
	mRepaired      = metric{"fairlead_link_repaired_packets_total", "packets repaired by FEC", true, []string{"stream", "protocol"}}
	mDropped       = metric{"fairlead_link_dropped_packets_total", "packets that never came or came too late", true, []string{"stream", "protocol"}}
	mOutLive       = metric{"fairlead_output_live", "1 while the destination takes the stream", false, []string{"id", "stream", "destination", "state"}}
	mOutFrames     = metric{"fairlead_output_frames_total", "frames sent", true, []string{"id", "stream"}}
	mOutBytes      = metric{"fairlead_output_bytes_total", "media bytes sent", true, []string{"id", "stream"}}
	mOutDropped    = metric{"fairlead_output_dropped_frames_total", "frames dropped because the destination was too slow", true, []string{"id", "stream"}}
	mOutPublishes  = metric{"fairlead_output_publishes_total", "sessions that went live", true, []string{"id", "stream"}}
	mOutEnded      = metric{"fairlead_output_ended_total", "sessions and attempts that ended, by cause", true, []string{"id", "stream", "cause"}}
	mOutLag        = metric{"fairlead_output_lag_seconds", "age of the oldest frame that waits", false, []string{"id", "stream"}}
	mOutDelay      = metric{"fairlead_output_delay_seconds", "from a frame's last byte (over SRT: its being due; over QUIC: its arrival, so with what of the latency it waits) to the kernel's having it for the destination", false, []string{"id", "stream"}}
	mOutBacklog    = metric{"fairlead_output_backlog_bytes", "bytes in the kernel that the destination has not acknowledged", false, []string{"id", "stream"}}
	mStallS        = metric{"fairlead_stream_stall_seconds_total", "seconds in which a viewer with a buffer of 1 s saw a standing picture, by cause", true, []string{"stream", "cause"}}
	mStalls        = metric{"fairlead_stream_stalls_total", "such stalls, by cause", true, []string{"stream", "cause"}}
	mStalled       = metric{"fairlead_stream_stalled", "1 while the viewer sees a standing picture", false, []string{"stream"}}
	mTarget        = metric{"fairlead_stream_target_bps", "what the way from the publisher has room for, where the relay estimates it", false, []string{"stream"}}
	mOutStallS     = metric{"fairlead_output_stall_seconds_total", "the same of the destination's viewers", true, []string{"id", "stream", "cause"}}
	mWebhook       = metric{"fairlead_webhook_events_total", "events that a webhook took (posted), that were given up (failed), that there was no room for (lost)", true, []string{"webhook", "result"}}
	mRefused       = metric{"fairlead_refused_total", "publishers, players and requests that were turned away, by protocol (srt, quic, rtmp, http, api) and reason", true, []string{"protocol", "reason"}}
	mStrays        = metric{"fairlead_stray_datagrams_total", "datagrams of SRT's port that belonged to no connection, or that a loop had no room for (loop_full), by protocol (srt) and reason", true, []string{"protocol", "reason"}}
	mUptime        = metric{"fairlead_uptime_seconds", "since the relay started", false, nil}
)

var metrics = []*metric{&mUp, &mBitrate, &mFrames, &mBytes, &mPublishes, &mTakeovers, &mInUse, &mSlow, &mHeld, &mJumps, &mPlayers, &mPlayerDropped, &mRTT, &mLatency, &mReceived, &mLost,
	&mResent, &mRepaired, &mDropped, &mOutLive, &mOutFrames, &mOutBytes, &mOutDropped, &mOutPublishes, &mOutEnded, &mOutLag, &mOutDelay, &mOutBacklog,
	&mOutStallS, &mStallS, &mStalls, &mStalled, &mTarget, &mWebhook, &mRefused, &mStrays, &mUptime}

func (m *metric) desc() *prometheus.Desc { return prometheus.NewDesc(m.name, m.help, m.labels, nil) }

func (m *metric) sample(v float64, labels ...string) prometheus.Metric {
	kind := prometheus.GaugeValue
	if m.counter {
		kind = prometheus.CounterValue
	}
	return prometheus.MustNewConstMetric(m.desc(), kind, v, labels...)
}

// histogram is what a destination's delays are counted in.
func (m *metric) histogram(d *rtmpout.Delays, labels ...string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(rtmpout.DelayBounds))
	n := uint64(0)
	for i, b := range rtmpout.DelayBounds {
		n += d.Counts[i]
		buckets[b.Seconds()] = n
	}
	n += d.Counts[len(rtmpout.DelayBounds)]
	return prometheus.MustNewConstHistogram(m.desc(), n, d.Sum.Seconds(), buckets, labels...)
}

// collector reads the relay when /metrics is asked for.
type collector struct{ s *Server }

// Describe sends every family.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range metrics {
		ch <- m.desc()
	}
}

// Collect sends every sample.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	all := c.s.sorted()
	for i := range all {
		c.stream(ch, c.s.view(&all[i]), &all[i].Subscribers)
		r := &all[i].Stutter
		for k := range stutter.Cause(stutter.Causes) {
			ch <- mStallS.sample(r.Settled[k].Seconds(), all[i].Name, k.String())
			ch <- mStalls.sample(float64(r.Counts[k]), all[i].Name, k.String())
		}
		stalled := 0.0
		if r.Stalled {
			stalled = 1
		}
		ch <- mStalled.sample(stalled, all[i].Name)
		if t := c.s.cfg.Source.Target(all[i].Name); t > 0 {
			ch <- mTarget.sample(float64(t), all[i].Name)
		}
	}
	for _, o := range c.s.cfg.Source.Outputs() {
		live := 0.0
		if o.State == rtmpout.Publishing {
			live = 1
		}
		ch <- mOutLive.sample(live, o.ID, o.Stream, o.Destination, o.State.String())
		ch <- mOutFrames.sample(float64(o.Frames), o.ID, o.Stream)
		ch <- mOutBytes.sample(float64(o.Bytes), o.ID, o.Stream)
		ch <- mOutDropped.sample(float64(o.Dropped), o.ID, o.Stream)
		ch <- mOutPublishes.sample(float64(o.Publishes), o.ID, o.Stream)
		for i := range o.Ended {
			if c := rtmpout.Cause(i); o.Ended[i] > 0 {
				ch <- mOutEnded.sample(float64(o.Ended[i]), o.ID, o.Stream, c.String())
			}
		}
		ch <- mOutLag.sample(o.Lag.Seconds(), o.ID, o.Stream)
		for c := range stutter.Cause(stutter.Causes) {
			ch <- mOutStallS.sample(o.Stutter.Settled[c].Seconds(), o.ID, o.Stream, c.String())
		}
		ch <- mOutDelay.histogram(&o.Delays, o.ID, o.Stream)
		ch <- mOutBacklog.sample(float64(o.Backlog), o.ID, o.Stream)
	}
	for i, w := range c.s.cfg.Source.Webhooks() {
		n := strconv.Itoa(i + 1)
		ch <- mWebhook.sample(float64(w.Posted), n, "posted")
		ch <- mWebhook.sample(float64(w.Failed), n, "failed")
		ch <- mWebhook.sample(float64(w.Lost), n, "lost")
	}
	for _, r := range c.s.cfg.Source.Refused() {
		ch <- mRefused.sample(float64(r.Count), r.Protocol, r.Reason)
	}
	for _, r := range c.s.cfg.Source.Strays() {
		ch <- mStrays.sample(float64(r.Count), r.Protocol, r.Reason)
	}
	for i := range c.s.refused {
		ch <- mRefused.sample(float64(c.s.refused[i].Load()), "api", refusedReasons[i])
	}
	ch <- mUptime.sample(c.s.uptime())
}

func (c *collector) stream(ch chan<- prometheus.Metric, v Stream, subscribers *[]hub.SubscriberStats) {
	live := 0.0
	if v.State == "live" {
		live = 1
	}
	dropped := uint64(0)
	for i := range *subscribers {
		dropped += (*subscribers)[i].Counts.Dropped
	}
	for _, m := range []struct {
		m *metric
		v float64
	}{
		{&mUp, live}, {&mBitrate, float64(v.BitrateBPS)}, {&mFrames, float64(v.Frames)}, {&mBytes, float64(v.Bytes)}, {&mPublishes, float64(v.Publishes)},
		{&mTakeovers, float64(v.Takeovers)}, {&mInUse, float64(v.InUse)}, {&mSlow, float64(v.Slow)}, {&mHeld, float64(v.Held)}, {&mJumps, float64(v.Jumps)}, {&mPlayers, float64(v.Players)}, {&mPlayerDropped, float64(dropped)},
	} {
		ch <- m.m.sample(m.v, v.Name)
	}
	if v.Publisher == nil || v.Publisher.Link == nil {
		return
	}
	l := v.Publisher.Link
	for _, m := range []struct {
		m *metric
		v float64
	}{
		{&mRTT, l.RTTms / 1e3}, {&mLatency, float64(l.LatencyMS) / 1e3}, {&mReceived, float64(l.Received)}, {&mLost, float64(l.Lost)},
		{&mResent, float64(l.Retransmitted)}, {&mRepaired, float64(l.Repaired)}, {&mDropped, float64(l.Dropped)},
	} {
		ch <- m.m.sample(m.v, v.Name, v.Publisher.Protocol)
	}
}
