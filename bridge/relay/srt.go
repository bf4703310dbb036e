package relay

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-live/fairlead/bridge/api"
	"github.com/fairlead-live/fairlead/bridge/auth"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/ingest"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

// admitSRT decides about an SRT caller before its handshake is answered.
func (r *Relay) admitSRT(req srtlink.Request) (func(context.Context, *srtlink.Conn), error) {
	name := req.StreamID.Name()
	if r.drainer.begun() {
		return nil, &srtlink.Rejection{Code: srtlink.CodeDown, Reason: "this relay is going away"}
	}
	if !req.StreamID.Publish {
		return nil, &srtlink.Rejection{Code: srtlink.CodeBadMode,
			Reason: "it wants to play, and SRT only publishes here; say m=publish or publish:APP/KEY (play over HTTP-FLV or RTMP)"}
	}
	who := auth.Request{Protocol: "srt", Name: name, Token: req.StreamID.Token, Peer: req.Peer.Addr(), PeerPort: req.Peer.Port()}
	identity, err := r.admit(context.Background(), who)
	if err != nil {
		return nil, &srtlink.Rejection{Code: srtlink.CodeUnauthorized, Reason: err.Error()}
	}
	pub, err := r.hub.Publish(name, hub.PublisherInfo{Protocol: "srt", Peer: req.Peer.String(), Identity: identity})
	switch {
	case errors.Is(err, hub.ErrInUse):
		return nil, &srtlink.Rejection{Code: srtlink.CodeConflict, Reason: inUse(err)}
	case err != nil:
		return nil, &srtlink.Rejection{Code: srtlink.CodeOverload, Reason: err.Error()}
	}
	return func(ctx context.Context, conn *srtlink.Conn) {
		if conn == nil {
			pub.Close(nil)
			return
		}
		err := r.publishSRT(ctx, name, conn, pub)
		pub.Close(err)
	}, nil
}

// publishSRT carries one publisher from its socket to the hub.
//
// Goroutines: the listener's parses and publishes; the caller's waits for the end; one waits for the hub to end it; one estimates its path.
func (r *Relay) publishSRT(_ context.Context, name string, conn *srtlink.Conn, pub *hub.Publisher) error {
	log := r.log.With("stream", name, "peer", conn.Peer(), "protocol", "srt")
	sayReplaced(log, pub)
	log.Info("publisher opened", "latency_ms", conn.Stats().Latency.Milliseconds())
	var queue atomic.Int64 // ns that stand at the bottleneck
	defer r.links.add(name, func() api.Link {
		l := srtLink(conn.Stats())
		l.Queue = time.Duration(queue.Load())
		l.KnowsAsked = conn.Own()
		return l
	})()
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := make(chan struct{})
	defer close(stop)
	wg.Go(func() { r.adviseSRT(name, conn, &queue, stop) })
	wg.Go(func() {
		select {
		case <-pub.Done(): // replaced, or the hub is closing
			_ = conn.Close()
		case <-stop:
		}
	})
	memory := hub.NewArena()
	defer memory.Close()
	ts := ingest.NewTS(mpegts.Config{Memory: memory})
	err := conn.Deliver(func(now time.Time, payload []byte) error {
		ts.Write(now, payload)
		return drain(ts, pub)
	})
	ts.Flush()
	_ = drain(ts, pub)
	logEnd(log, ts.Stats(time.Now()), conn.Stats(), err)
	return err
}

func drain(ts *ingest.TS, pub *hub.Publisher) error {
	for f, ok := ts.Next(); ok; f, ok = ts.Next() {
		if err := pub.WriteFrame(f); err != nil {
			return err
		}
	}
	return nil
}

// logEnd says why a publisher ended and what became of all it sent.
func logEnd(log *slog.Logger, in ingest.Stats, link srtlink.Stats, err error) {
	attrs := []any{"err", err, "video_frames", in.VideoFrames, "audio_frames", in.AudioFrames, "recv_bytes", in.Bytes,
		"srt_recv", link.Received, "srt_lost", link.Lost, "srt_retransmitted", link.Retransmitted, "srt_dropped", link.Dropped,
		"rtt_ms", link.RTT.Milliseconds()}
	for _, d := range in.Drops {
		attrs = append(attrs, "dropped_"+d.Reason.String(), d.Count)
	}
	log.Info("publisher closed", attrs...)
	if in.Bytes > 0 && in.VideoFrames+in.AudioFrames == 0 {
		log.Warn("nothing in it was media: SRT publishers send MPEG-TS with H.264, H.265, AAC, Opus or MP3")
	}
}
