package relay

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"github.com/fairlead-live/fairlead/bridge/api"
	"github.com/fairlead-live/fairlead/bridge/auth"
	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

// refusals counts who was turned away. Memory: the reasons of a guard and those below, for each protocol.
type refusals struct {
	mu sync.Mutex // guards by
	by map[refusal]uint64
}

type refusal struct{ protocol, reason string }

func (f *refusals) count(protocol, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by == nil {
		f.by = map[refusal]uint64{}
	}
	f.by[refusal{protocol, reason}]++
}

// denied counts what the guard said.
func (f *refusals) denied(protocol string, err error) {
	if d, ok := errors.AsType[*auth.Denied](err); ok {
		f.count(protocol, d.Reason.String())
	}
}

// srtRefused counts a caller. What the guard said has been counted, with its reason.
func (f *refusals) srtRefused(why *srtlink.Rejection) {
	switch why.Code {
	case srtlink.CodeUnauthorized:
	case srtlink.CodeBadSecret, srtlink.CodeUnsecure:
		f.count("srt", "passphrase")
	case srtlink.CodeBadRequest:
		f.count("srt", "bad_streamid")
	case srtlink.CodeBadMode:
		f.count("srt", "wrong_mode")
	case srtlink.CodeConflict:
		f.count("srt", "in_use")
	case srtlink.CodeOverload:
		f.count("srt", "too_many_connections")
	case srtlink.CodeDown:
		f.count("srt", "draining")
	default:
		f.count("srt", "handshake")
	}
}

// quicRefused is the same for a publisher over QUIC, by the status it read.
func (r *Relay) quicRefused(status uint16) {
	switch status {
	case 401:
	case 409:
		r.refused.count("quic", "in_use")
	case 426:
		r.refused.count("quic", "version")
	case 503:
		if r.drainer.begun() {
			r.refused.count("quic", "draining")
		} else {
			r.refused.count("quic", "too_many_connections")
		}
	default:
		r.refused.count("quic", "rejected")
	}
}

// Strays implements api.Source.
func (r *Relay) Strays() (out []api.Refusal) {
	if r.srt != nil {
		for _, d := range r.srt.Drops() {
			out = append(out, api.Refusal{Protocol: "srt", Reason: d.Reason, Count: d.Count})
		}
	}
	return out
}

// Refused implements api.Source.
func (r *Relay) Refused() []api.Refusal {
	var out []api.Refusal
	r.refused.mu.Lock()
	for k, n := range r.refused.by {
		out = append(out, api.Refusal{Protocol: k.protocol, Reason: k.reason, Count: n})
	}
	r.refused.mu.Unlock()
	if r.rtmpd != nil {
		st := r.rtmpd.Stats()
		for why := range rtmpserver.NumRefusals {
			word := why.String()
			switch why {
			case rtmpserver.RefusedUnauthorized: // counted with the guard's reasons
				continue
			case rtmpserver.RefusedTooMany:
				word = "too_many_connections"
			}
			if n := st.Refusals(why); n > 0 {
				out = append(out, api.Refusal{Protocol: "rtmp", Reason: word, Count: n})
			}
		}
	}
	slices.SortFunc(out, func(a, b api.Refusal) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}
