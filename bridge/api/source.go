package api

import (
	"errors"
	"time"

	"github.com/fairlead-live/fairlead/bridge/advice"
	"github.com/fairlead-live/fairlead/bridge/events"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/rtmpout"
)

// ErrNotFound is returned by a Source that knows no such stream or output.
var ErrNotFound = errors.New("api: not found")

// Link is what the relay knows of a publisher's way to it. Counters are totals of the connection, in packets.
type Link struct {
	RTT           time.Duration
	Latency       time.Duration // agreed
	Asked         time.Duration // by the publisher, over SRT through the relay's own listener
	KnowsAsked    bool
	Received      uint64
	ReceivedBytes uint64
	Lost          uint64        // found missing at first
	Retransmitted uint64        // repaired by sending again
	Repaired      uint64        // repaired by FEC
	Dropped       uint64        // never came, or too late: holes in the stream
	Belated       uint64        // of these, came too late
	Missing       uint64        // of all that was sent, resends and repair included, where that is known apart from Lost
	Overrun       uint64        // the relay had no room for them
	Refused       uint64        // frames the publisher dropped because they did not fit, where it says so
	Reports       uint64        // of what came and what did not, sent to the publisher, where the relay counts them
	ReportBytes   uint64        // of them
	Silent        time.Duration // since anything came
	Queue         time.Duration // delay that stands at the bottleneck
	Paths         []Path        // of a publisher that uses several
}

// Path is one link of SRTLA, or one member of a group of libsrt.
type Path struct {
	Peer          string
	Kind          string // "srtla", "broadcast" or "backup"
	Weight        int    // of a group's member
	Active        bool   // it carries something now
	RTT           time.Duration
	Received      uint64 // packets
	ReceivedBytes uint64
	Retransmitted uint64 // of these, a group's
}

// Source is the relay. Its methods are for concurrent use and return snapshots.
type Source interface {
	Streams() []hub.StreamStats
	Outputs() []OutputStats
	Link(stream string) (Link, bool) // false: RTMP, or nobody publishes
	Target(stream string) int64      // bits/s the way has room for; 0: not known
	Advice(stream string) []advice.Sentence
	Kick(stream string) error

	Addresses() []Address

	Events() *events.Bus
	Webhooks() []events.WebhookStats // in the order of the configuration
	Refused() []Refusal
	Strays() []Refusal                                   // datagrams that belonged to no connection
	Drain(within time.Duration, to, toRTMP string) error // 0: as long as is usual; empty: to the same address
	Drained() DrainState

	AddOutput(stream string, urls []string) (id string, err error)
	RemoveOutput(id string) error
	PauseOutput(id string) error
	RestartOutput(id string) error

	Config() map[string]any // words and values, secrets masked
	DiffConfig(yaml []byte) (Changes, error)
	ApplyConfig(yaml []byte) (Changes, error)
}

// DrainState says how far a relay's going out of service has come.
type DrainState struct {
	State      string         `json:"state"`             // serving, draining, drained
	To         string         `json:"to,omitempty"`      // where publishers over QUIC were sent
	ToRTMP     string         `json:"to_rtmp,omitempty"` // and those over RTMP
	LeftS      float64        `json:"left_s"`            // they have to move on; then whoever is left is ended
	Publishers map[string]int `json:"publishers"`        // that are here, by protocol
}

// Refusal is how often somebody was turned away, and why: both words are of a bounded set, docs/metrics.md.
type Refusal struct {
	Protocol, Reason string
	Count            uint64
}

// Changes says what a new configuration changes.
type Changes struct {
	Applied []string `json:"applied"`       // words that a running relay takes over
	Restart []string `json:"needs_restart"` // words that wait for its next start
}

// OutputStats is a destination.
type OutputStats struct {
	ID     string
	Stream string
	Paused bool
	rtmpout.Stats
}

// Address is where a stream is published or watched, ready to paste.
type Address struct {
	Stream string `json:"stream"`
	Use    string `json:"use"` // publish, watch
	Label  string `json:"label"`
	URL    string `json:"url"` // or the command
	Note   string `json:"note,omitempty"`
}
