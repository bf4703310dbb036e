package api

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/transport"
)

// Stream is one stream in /v1/streams.
type Stream struct {
	Name       string     `json:"name"`
	State      string     `json:"state"` // live, or held: no publisher, outputs and players kept
	Publisher  *Publisher `json:"publisher,omitempty"`
	Tracks     []Track    `json:"tracks"`
	BitrateBPS int64      `json:"bitrate_bps"` // of the media, over the last 2 s
	FrameRate  float64    `json:"frames_per_s"`
	Pictures   float64    `json:"pictures_per_s,omitempty"` // by the encoder's times
	Frames     uint64     `json:"frames_total"`
	Bytes      uint64     `json:"bytes_total"`
	Publishes  uint64     `json:"publishes_total"`
	Takeovers  uint64     `json:"takeovers_total"`          // publishers that took the key from another one
	InUse      uint64     `json:"refused_publishers_total"` // because another one had the key
	Slow       uint64     `json:"slow_players_total"`       // of a transport stream that is passed through: cut because they did not keep up
	Held       uint64     `json:"held_frames_total"`
	Skipped    uint64     `json:"skipped_frames_total"`
	Refused    uint64     `json:"refused_frames_total"`
	Jumps      uint64     `json:"timeline_jumps_total"`
	Clamped    uint64     `json:"clamped_frames_total"`
	GOPFrames  int        `json:"gop_frames"`
	GOPBytes   int        `json:"gop_bytes"`
	Players    int        `json:"players"`
	Outputs    int        `json:"outputs"`
	TargetBPS  int64      `json:"target_bps,omitempty"` // what the way here has room for, as the encoder is told
	Stutter    *Stutter   `json:"stutter,omitempty"`    // absent until there was a picture
	Advice     []Advice   `json:"advice,omitempty"`     // what is wrong, and what to do
}

// Advice is a sentence for the operator.
type Advice struct {
	Rule     string `json:"rule"` // for programs; docs/advice.md
	Text     string `json:"text"`
	Evidence string `json:"evidence"`
	About    string `json:"about,omitempty"` // a destination
}

// Publisher is who publishes.
type Publisher struct {
	Protocol string    `json:"protocol"`
	Peer     string    `json:"peer"`
	Since    time.Time `json:"since"`
	Link     *LinkView `json:"link,omitempty"`
}

// LinkView is the way from the publisher; packets are totals of this connection.
type LinkView struct {
	RTTms         float64 `json:"rtt_ms"`
	LatencyMS     int64   `json:"latency_ms"`
	Received      uint64  `json:"received_packets"`
	ReceivedBytes uint64  `json:"received_bytes"`
	Lost          uint64  `json:"lost_packets"`
	Retransmitted uint64  `json:"retransmitted_packets"`
	Repaired      uint64  `json:"repaired_packets"`
	Dropped       uint64  `json:"dropped_packets"`
	Belated       uint64  `json:"belated_packets"`
	Reports       uint64  `json:"feedback_packets,omitempty"` // over QUIC
	ReportBytes   uint64  `json:"feedback_bytes,omitempty"`

	Paths []PathView `json:"paths,omitempty"` // of a publisher that uses several
}

// PathView is one link of SRTLA, or one member of a group of libsrt.
type PathView struct {
	Peer          string  `json:"peer"`
	Kind          string  `json:"kind"` // "srtla", "broadcast" or "backup"
	Weight        int     `json:"weight"`
	Active        bool    `json:"active"`
	RTTms         float64 `json:"rtt_ms"` // 0: an SRTLA sender that does not tell
	Received      uint64  `json:"received_packets"`
	ReceivedBytes uint64  `json:"received_bytes"`
	Retransmitted uint64  `json:"retransmitted_packets"`
}

// Track is an elementary stream.
type Track struct {
	Codec      string  `json:"codec"`
	Width      int     `json:"width,omitempty"`
	Height     int     `json:"height,omitempty"`
	FrameRate  float64 `json:"frame_rate,omitempty"`
	SampleRate int     `json:"sample_rate,omitempty"`
	Channels   int     `json:"channels,omitempty"`
}

// Player is who reads a stream, a destination too.
type Player struct {
	Protocol  string    `json:"protocol"`
	Peer      string    `json:"peer"`
	Since     time.Time `json:"since"`
	Delivered uint64    `json:"delivered_frames_total"`
	Dropped   uint64    `json:"dropped_frames_total"`
	Gaps      uint64    `json:"gaps_total"`
	Bytes     uint64    `json:"bytes_total"`
	Queued    int       `json:"queued_frames"`
	LagMS     int64     `json:"lag_ms"`
}

// Output is one destination in /v1/outputs.
type Output struct {
	ID          string `json:"id"`
	Stream      string `json:"stream"`
	Destination string `json:"destination"` // without secrets
	Place       int    `json:"place"`       // in use: 0 the first address, others are backups
	State       string `json:"state"`
	Moving      bool   `json:"moving"` // a new connection is being made while the old one publishes
	LastError   string `json:"last_error,omitempty"`
	Publishes   uint64 `json:"publishes_total"`
	Frames      uint64 `json:"frames_total"`
	Bytes       uint64 `json:"bytes_total"`
	Dropped     uint64 `json:"dropped_frames_total"`
	Gaps        uint64 `json:"gaps_total"`
	Queued      int    `json:"queued_frames"`
	LagMS       int64  `json:"lag_ms"`
	Backlog     int    `json:"backlog_bytes"`

	Stutter *Stutter `json:"stutter,omitempty"` // of its viewers
}

// pushProtocol is how destinations name themselves among a stream's subscribers.
const pushProtocol = "push"

func (s *Server) view(st *hub.StreamStats) Stream {
	bps, fps := s.rates.of(st.Name)
	v := Stream{
		Name: st.Name, State: "held", Tracks: []Track{}, BitrateBPS: int64(bps), FrameRate: round1(fps),
		Frames: st.Counts.Frames, Bytes: st.Counts.Bytes, Publishes: st.Counts.Publishes,
		Takeovers: st.Counts.Takeovers, InUse: st.Counts.InUse, Slow: st.Counts.Slow, Held: st.Counts.Held, Skipped: st.Counts.Skipped,
		Refused: st.Counts.Dropped, Jumps: st.Jumps, Clamped: st.Clamped, GOPFrames: st.GOPFrames, GOPBytes: st.GOPBytes,
		Stutter: stutterOf(&st.Stutter),
	}
	for _, c := range st.Tracks {
		if c != nil {
			v.Tracks = append(v.Tracks, track(c))
		}
	}
	for i := range st.Subscribers {
		if st.Subscribers[i].Protocol == pushProtocol {
			v.Outputs++
		} else {
			v.Players++
		}
	}
	for _, a := range s.cfg.Source.Advice(st.Name) {
		v.Advice = append(v.Advice, Advice(a))
	}
	if st.TS != nil {
		v.Tracks = append(v.Tracks, Track{Codec: transport.Passthrough.String()})
	}
	if p := st.Publisher; p != nil {
		v.State = "live"
		v.Publisher = &Publisher{Protocol: p.Protocol, Peer: p.Peer, Since: p.Since.UTC()}
		v.TargetBPS = s.cfg.Source.Target(st.Name)
		if st.Shape.Interval > 0 {
			v.Pictures = round1(float64(time.Second) / float64(st.Shape.Interval))
		}
		if l, ok := s.cfg.Source.Link(st.Name); ok {
			v.Publisher.Link = &LinkView{
				RTTms: round1(float64(l.RTT) / 1e6), LatencyMS: l.Latency.Milliseconds(), Received: l.Received, ReceivedBytes: l.ReceivedBytes,
				Lost: l.Lost, Retransmitted: l.Retransmitted, Repaired: l.Repaired, Dropped: l.Dropped, Belated: l.Belated,
				Reports: l.Reports, ReportBytes: l.ReportBytes,
			}
			for _, p := range l.Paths {
				v.Publisher.Link.Paths = append(v.Publisher.Link.Paths, PathView{
					Peer: p.Peer, Kind: p.Kind, Weight: p.Weight, Active: p.Active, RTTms: round1(float64(p.RTT) / 1e6),
					Received: p.Received, ReceivedBytes: p.ReceivedBytes, Retransmitted: p.Retransmitted,
				})
			}
		}
	} else {
		v.BitrateBPS, v.FrameRate = 0, 0
	}
	return v
}

func round1(f float64) float64 { return float64(int64(f*10+0.5)) / 10 }

func track(c *media.Config) Track {
	return Track{Codec: c.Codec.String(), Width: c.Width, Height: c.Height, FrameRate: c.FrameRate, SampleRate: c.SampleRate, Channels: c.Channels}
}

// sorted returns the streams by name.
func (s *Server) sorted() []hub.StreamStats {
	all := s.cfg.Source.Streams()
	slices.SortFunc(all, func(a, b hub.StreamStats) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (s *Server) find(name string) (*hub.StreamStats, bool) {
	all := s.cfg.Source.Streams()
	i := slices.IndexFunc(all, func(st hub.StreamStats) bool { return st.Name == name })
	if i < 0 {
		return nil, false
	}
	return &all[i], true
}

func name(r *http.Request) string { return r.PathValue("app") + "/" + r.PathValue("key") }

func (s *Server) getStreams(w http.ResponseWriter, _ *http.Request) {
	out := []Stream{}
	all := s.sorted()
	for i := range all {
		out = append(out, s.view(&all[i]))
	}
	answer(w, map[string]any{"streams": out})
}

func (s *Server) getStream(w http.ResponseWriter, r *http.Request) {
	st, ok := s.find(name(r))
	if !ok {
		failed(w, ErrNotFound)
		return
	}
	answer(w, s.view(st))
}

func (s *Server) getPlayers(w http.ResponseWriter, r *http.Request) {
	st, ok := s.find(name(r))
	if !ok {
		failed(w, ErrNotFound)
		return
	}
	out := []Player{}
	for _, p := range st.Subscribers {
		out = append(out, Player{p.Protocol, p.Peer, p.Since.UTC(), p.Counts.Delivered, p.Counts.Dropped, p.Counts.Gaps, p.Counts.Bytes, p.Queued, p.Lag.Milliseconds()})
	}
	answer(w, map[string]any{"players": out})
}

func (s *Server) kick(w http.ResponseWriter, r *http.Request) {
	if err := s.cfg.Source.Kick(name(r)); err != nil {
		failed(w, err)
		return
	}
	s.cfg.Logger.Info("api: publisher kicked", "stream", name(r), "by", r.RemoteAddr)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) getOutputs(w http.ResponseWriter, _ *http.Request) {
	out := []Output{}
	for _, o := range s.cfg.Source.Outputs() {
		state := o.State.String()
		if o.Paused {
			state = "paused"
		}
		out = append(out, Output{o.ID, o.Stream, o.Destination, o.Place, state, o.Moving, o.LastError, o.Publishes, o.Frames, o.Bytes, o.Dropped, o.Gaps,
			o.Queued, o.Lag.Milliseconds(), o.Backlog, stutterOf(&o.Stutter)})
	}
	answer(w, map[string]any{"outputs": out})
}
