package relay

import (
	"sync"

	"github.com/fairlead-live/fairlead/bridge/api"
	"github.com/fairlead-live/fairlead/transport/quiclink"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

// links is what is known of every publisher's way here.
type links struct {
	mu sync.Mutex
	by map[string]*link
}

// link is asked for a snapshot from the API's goroutines.
type link struct{ read func() api.Link }

// add makes a stream's link known until the function it returns is called.
func (l *links) add(stream string, read func() api.Link) (remove func()) {
	k := &link{read}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = map[string]*link{}
	}
	l.by[stream] = k
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.by[stream] == k { // else somebody else publishes now
			delete(l.by, stream)
		}
	}
}

// Link returns what is known of the way a stream comes; false: over RTMP, or not at all.
func (r *Relay) Link(stream string) (api.Link, bool) {
	r.links.mu.Lock()
	k := r.links.by[stream]
	r.links.mu.Unlock()
	if k == nil {
		return api.Link{}, false
	}
	return k.read(), true
}

// Target is what the encoder is told that the way has room for; 0: not known, as over QUIC, where the publisher's own controller knows.
func (r *Relay) Target(stream string) int64 {
	if e, ok := r.board.Latest(stream); ok {
		return int64(e.Target)
	}
	return 0
}

func srtLink(st srtlink.Stats) api.Link {
	var paths []api.Path
	for _, k := range st.Links {
		paths = append(paths, api.Path{
			Peer: k.Peer.String(), Kind: k.Kind, Weight: k.Weight, Active: k.Active, RTT: k.RTT,
			Received: k.Received, ReceivedBytes: k.ReceivedBytes, Retransmitted: k.Retransmitted,
		})
	}
	return api.Link{
		Paths: paths,
		RTT:   st.RTT, Latency: st.Latency, Asked: st.Asked, Received: st.Received, ReceivedBytes: st.ReceivedBytes, Lost: st.Lost, Retransmitted: st.Retransmitted,
		Repaired: st.Rebuilt, Dropped: st.Dropped, Belated: st.Belated,
		Missing: st.Lost, Overrun: st.Overrun, Silent: st.Silent,
	}
}

func quicLink(end *quiclink.End) api.Link {
	st := &end.Stats
	refused := uint64(0)
	for _, n := range st.FramesDropped {
		refused += n
	}
	return api.Link{
		RTT: end.RTT, Received: st.Delivered + st.Recovered + st.Late, ReceivedBytes: st.BytesReceived, Lost: st.Recovered + st.Late + st.Lost,
		Retransmitted: st.RecoveredByResend, Repaired: st.RecoveredByRepair, Dropped: st.Late + st.Lost, Belated: st.Late,
		Missing: end.Missing, Overrun: end.Dropped, Refused: refused, Silent: end.Silent, Queue: end.Queue,
		Reports: st.Feedback, ReportBytes: st.FeedbackBytes,
	}
}

// Kick ends a stream's publisher; it may come back.
func (r *Relay) Kick(stream string) error {
	if !r.hub.Kick(stream) {
		return api.ErrNotFound
	}
	return nil
}
