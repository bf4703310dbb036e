package relay

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/fairlead-live/fairlead/bridge/api"
	"github.com/fairlead-live/fairlead/bridge/auth"
	"github.com/fairlead-live/fairlead/bridge/feedback"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/ingest"
	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/quiclink"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// admitQUIC decides about a publisher over QUIC.
func (r *Relay) admitQUIC(req quiclink.Request) (quiclink.Sink, error) {
	who := auth.Request{Protocol: "quic", Name: req.Name, Token: req.Token, Peer: req.Peer.Addr(), PeerPort: req.Peer.Port()}
	identity, err := r.admit(context.Background(), who)
	if err != nil {
		r.log.Warn("quic: publisher refused", "stream", req.Name, "peer", req.Peer, "err", err)
		return nil, &quiclink.Rejection{Status: 401, Reason: forPeer(err) + ": are key and token right?"}
	}
	pub, err := r.hub.Publish(req.Name, hub.PublisherInfo{Protocol: "quic", Peer: req.Peer.String(), Identity: identity})
	switch {
	case errors.Is(err, hub.ErrInUse):
		return nil, &quiclink.Rejection{Status: 409, Reason: inUse(err)}
	case err != nil:
		return nil, &quiclink.Rejection{Status: 503, Reason: err.Error()}
	}
	log := r.log.With("stream", req.Name, "peer", req.Peer, "protocol", "quic")
	sayReplaced(log, pub)
	log.Info("publisher opened", "latency_ms", req.Latency.Milliseconds(), "max_latency_ms", req.MaxLatency.Milliseconds(), "datagram", req.Datagram, "resumed", req.Resume, "agent", req.Agent)
	sink := &quicSink{pub: pub, log: log, in: ingest.Uplink{Memory: hub.NewArena()}, advice: r.board.Open(req.Name)}
	sink.seen.Store(&api.Link{Latency: req.Latency})
	sink.unlink = r.links.add(req.Name, func() api.Link { return *sink.seen.Load() })
	return sink, nil
}

// quicSink carries one publisher's session to the hub. It is owned by the session's goroutine.
type quicSink struct {
	pub *hub.Publisher
	log *slog.Logger
	in  ingest.Uplink

	seen   atomic.Pointer[api.Link] // once a second
	unlink func()
	advice *feedback.Entry // what its encoder is told
}

// Advised passes on what the publisher's own controller says: it sees more of the path than arrivals tell.
func (s *quicSink) Advised(now time.Time, t *wire.Target) {
	report := feedback.Report{Target: congestion.Bitrate(t.Bitrate), Reason: congestion.Reason(t.Reason).String()}
	if t.Path != nil {
		report.Queue, report.Loss = t.Path.Queue, t.Path.Loss
	}
	s.advice.Set(now, report)
}

// KeyframeAsked passes it on.
func (s *quicSink) KeyframeAsked() { s.advice.Keyframe() }

// Observe keeps what the API shows.
func (s *quicSink) Observe(now quiclink.End) {
	l := quicLink(&now)
	l.Latency = s.seen.Load().Latency
	s.seen.Store(&l)
}

func (s *quicSink) Tracks(tracks []wire.Track) { s.in.Tracks(tracks) }

func (s *quicSink) Payload(p *transport.Payload) error {
	s.in.Payload(p)
	if ts := s.in.TS(); len(ts.Data) > 0 { // before the frames that are in it
		if err := s.pub.WriteTS(hub.TSPiece{Data: bytes.Clone(ts.Data), Tables: ts.Tables, Key: ts.Key}); err != nil {
			return err
		}
	}
	return s.drain()
}

func (s *quicSink) drain() error {
	for f, ok := s.in.Next(); ok; f, ok = s.in.Next() {
		if err := s.pub.WriteFrame(f); err != nil {
			return err
		}
	}
	return nil
}

func (s *quicSink) Done() <-chan struct{} { return s.pub.Done() }

// Close says why a publisher ended and what became of all it sent.
func (s *quicSink) Close(end quiclink.End) {
	s.unlink()
	s.advice.Close()
	s.in.Flush()
	_ = s.drain()
	s.in.Memory.Close()
	s.pub.Close(end.Err)
	in, st := s.in.Stats(), &end.Stats
	attrs := []any{"err", end.Err, "video_frames", in.VideoFrames, "audio_frames", in.AudioFrames, "frames_lost", st.FramesLost,
		"recv_bytes", st.BytesReceived, "sent", st.Sent, "delivered", st.Delivered, "recovered_resend", st.RecoveredByResend,
		"recovered_fec", st.RecoveredByRepair, "late", st.Late, "lost", st.Lost, "rtt_ms", end.RTT.Milliseconds(), "moved", end.Moved,
		"feedback_packets", st.Feedback, "feedback_bytes", st.FeedbackBytes}
	for why, n := range st.Drops {
		if n > 0 {
			attrs = append(attrs, "dropped_"+transport.DropReason(why).String(), n)
		}
	}
	for _, why := range ingest.UplinkDrops() {
		if n := in.Drops[why]; n > 0 {
			attrs = append(attrs, "dropped_"+why.String(), n)
		}
	}
	if end.Dropped > 0 {
		attrs = append(attrs, "dropped_overload", end.Dropped)
	}
	s.log.Info("publisher closed", attrs...)
}
