package rtmpserver

import (
	"errors"
	"syscall"

	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
)

// Refusal says why a peer did not get what it asked for.
type Refusal uint8

// Why a peer was refused.
const (
	RefusedTooMany      Refusal = iota // connections
	RefusedHandshake                   // not RTMP, or too slow
	RefusedProtocol                    // bytes that make no sense behind the handshake
	RefusedUnauthorized                // Authorize said so
	RefusedRejected                    // Authorize failed otherwise
	RefusedInUse                       // the key has a publisher
	RefusedNotFound                    // nobody publishes what a player asked for
	RefusedSilent                      // no command, or no media, in time
	RefusedDraining                    // the server is going away
	NumRefusals
)

func (r Refusal) String() string {
	if r < NumRefusals {
		return [...]string{"too_many", "handshake", "protocol", "unauthorized", "rejected", "in_use", "not_found", "silent", "draining"}[r]
	}
	return "unknown"
}

// Stats is a snapshot of a server's counters; those of a connection's parsers are added when it ends.
type Stats struct {
	Connections int // now
	Publishers  int // now
	Players     int // now
	Accepted    uint64
	Refused     [NumRefusals]uint64
	RTMP        rtmp.Stats
	FLV         flv.Stats
}

// Refusals returns one of the counters.
func (s Stats) Refusals(r Refusal) uint64 { return s.Refused[r] }

// Stats returns a snapshot.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Connections = s.conns
	return out
}

func (s *Stats) add(r rtmp.Stats, f flv.Stats) {
	s.RTMP.ReceivedBytes += r.ReceivedBytes
	s.RTMP.Messages += r.Messages
	for i, n := range r.Drops {
		s.RTMP.Drops[i] += n
	}
	s.FLV.Bodies += f.Bodies
	s.FLV.Frames += f.Frames
	s.FLV.Configs += f.Configs
	s.FLV.ExtraTracks += f.ExtraTracks
	for i, n := range f.Drops {
		s.FLV.Drops[i] += n
	}
}

// isExhausted reports errors of accept that pass.
func isExhausted(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
