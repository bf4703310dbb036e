// Package report turns the results of bench/run into what people and machines read: a table on the terminal, JSON, CSV,
// JUnit and one HTML page that needs no network. Gate compares two results.
//
// A [Report] is the whole of a run and what it was made with; a [Cell] is one scheme over one profile with one seed. Files
// are complete after every cell, so a run that was interrupted leaves what it had, marked Partial.
//
// Left to others: running (bench/run), scoring (bridge/stutter).
package report

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// Format is the version of results.json; it changes when a field changes its meaning.
const Format = 1

// Report is one run.
type Report struct {
	Format   int       `json:"format"`
	Made     time.Time `json:"made"`
	Partial  bool      `json:"partial"` // not every cell was run
	Command  []string  `json:"command"`
	Host     Host      `json:"host"`
	Settings Settings  `json:"settings"`
	Profiles []Profile `json:"profiles"`
	Schemes  []Scheme  `json:"schemes"`
	Skipped  []Skipped `json:"skipped,omitempty"`
	Cells    []Cell    `json:"cells"`
}

// Host is what the run was made on.
type Host struct {
	Kernel   string            `json:"kernel"`
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Go       string            `json:"go"`
	Fairlead string            `json:"fairlead"`
	Programs map[string]string `json:"programs"` // name → version
}

// Settings are the same for every cell.
type Settings struct {
	Seconds   float64  `json:"seconds"` // of media
	LatencyMs float64  `json:"latency_ms"`
	MediaBps  float64  `json:"media_bps"` // of the clip, both tracks
	Seeds     []uint64 `json:"seeds"`
	Parallel  int      `json:"parallel"`
	Clip      string   `json:"clip"`
}

// Profile is a link's name and what it does, in words.
type Profile struct {
	Name    string  `json:"name"`
	Title   string  `json:"title"`
	Limit   float64 `json:"limit_wire_per_media,omitempty"` // the least that any scheme sends there: bench/bound; absent: not known,
	NoLimit string  `json:"no_limit,omitempty"`             // and why
}

// Scheme is a way to carry media.
type Scheme struct {
	Name  string `json:"name"`
	Group string `json:"group"`
	Title string `json:"title"`
	Notes string `json:"notes,omitempty"`
}

// Skipped is a scheme that was asked for and could not be run.
type Skipped struct {
	Scheme string `json:"scheme"`
	Why    string `json:"why"`
}

// Cell is one run of one scheme.
type Cell struct {
	Profile string          `json:"profile"`
	Scheme  string          `json:"scheme"`
	Seed    uint64          `json:"seed"`
	Error   string          `json:"error,omitempty"` // a program that failed, in its own words; the score counts all the same
	Noisy   []string        `json:"noisy,omitempty"` // how the host itself disturbed the run
	Score   stutter.Summary `json:"score"`
	Sound   Sound           `json:"sound"`
	Up      Wire            `json:"up"`
	Down    Wire            `json:"down"`
	Both    float64         `json:"both_ways_per_media"` // bytes of Up and Down for each byte of media that came out; 0: none did
	Control Control         `json:"control"`

	Timeline *Timeline `json:"timeline,omitempty"`
}

// Sound counts audio frames.
type Sound struct {
	Expected int `json:"frames_expected"`
	Arrived  int `json:"frames_arrived"`
}

// Wire is one direction of the link as the emulator counted it, IP headers included.
type Wire struct {
	Packets   uint64  `json:"packets"`
	Bytes     uint64  `json:"bytes"`
	Delivered uint64  `json:"delivered"`
	Lost      uint64  `json:"lost"`
	LateP99Ms float64 `json:"emulator_late_p99_ms"`
}

// Control is the stream over a clean link beside the cell.
type Control struct {
	Packets int     `json:"packets"`
	Lost    int     `json:"lost"`
	P50Ms   float64 `json:"delay_p50_ms"`
	P99Ms   float64 `json:"delay_p99_ms"`
	MaxMs   float64 `json:"delay_max_ms"`
}

// Timeline is a cell over time, in steps from the clip's first frame. −1: nothing to say in that step.
type Timeline struct {
	StepMs      float64   `json:"step_ms"`
	CapacityBps []float64 `json:"capacity_bps,omitempty"` // what the link could have carried up; absent: no limit
	SentBps     []float64 `json:"sent_bps"`               // put on the link
	ArrivedBps  []float64 `json:"arrived_bps"`            // media out of the receiver
	LatencyMs   []float64 `json:"latency_ms"`             // the slowest frame that came in the step
	Lost        []float64 `json:"lost_packets"`           // dropped by the link
}
