package show

import (
	"fmt"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/bridge/stutter"
	"github.com/fairlead-live/fairlead/congestion"
)

// Frame is one picture or sound of the source. Its bytes do not matter.
type Frame struct {
	Seq            int64 // of the pictures, or of the sounds
	Audio          bool
	Key, Droppable bool
	Size           int
	Capture        time.Duration
	Broken         bool // of one delivered, for Watch: something before it was lost on the way
}

// Sender carries frames over the Stage's link to Stage.Deliver.
type Sender interface {
	Write(f Frame)              // the encoder made one, now
	Target() congestion.Bitrate // what the encoder of the pictures is to make now; 0: it is told nothing. Asked every 10 ms.
	KeyframeWanted() bool       // once each time
	Finish() Counts             // the run is over; an error in the accounts is a Stage.Fault
}

// Counts say what became of the pictures that a Sender did not carry, by class. A model without classes leaves it zero.
type Counts struct {
	Droppable, Reference, Key, Audio int
}

// Scheme is a way to carry a stream.
type Scheme struct {
	Name  string
	About string
	// New makes its sender, and its receiver behind it.
	New func(st *Stage) (Sender, error)
}

// Scenario is one run but for its seed. The zero value of a field means its default.
type Scenario struct {
	Scheme  Scheme
	Path    sim.Path
	Encoder Encoder
	Latency time.Duration // 300 ms, of the schemes that have one
	For     time.Duration // 60 s
	Skip    time.Duration // not scored, at the beginning; negative: nothing; 5 s
	Buffers []time.Duration
	// Pause says when the encoder makes nothing, pictures nor sound: what it makes next refers to what it made last. nil: never.
	Pause func(at time.Duration) bool
	// Freeze says until when the receiver's process stands still; what comes meanwhile waits in the kernel. nil: never.
	Freeze func(at time.Duration) (until time.Duration)
	Watch  Watch      // nil: nobody
	Stalls sim.Stalls // of the ends and of the link between them, of schemes on sim's nodes; none
	// Trace, if set, is told what happens, for a person to read.
	Trace func(format string, args ...any)
}

// Result is one run.
type Result struct {
	Seed     uint64
	Score    stutter.Score // players of 0.2 and 1 s
	Sound    float64       // share of the sounds that arrived
	Made     float64       // bits/s the encoder made, pictures
	Shown    float64       // bits/s of pictures that arrived and could be decoded
	Whole    float64       // share of the pictures that arrived whole and in time
	Wire     float64       // bits/s on the wire towards the relay, all headers
	Back     float64       // and from it: reports, acknowledgements, requests
	Drops    Counts
	Told     int // times the encoder was told another rate
	Faults   []string
	Pictures []Shown         // what was delivered, in order, from the beginning on
	Tells    []Tell          // what the encoder was told
	Source   []stutter.Frame // the pictures that are scored
}

// Shown is a picture that was delivered.
type Shown struct {
	Frame
	At time.Duration // released to the player
}

// Tell is a bitrate that the encoder was told.
type Tell struct {
	At   time.Duration
	Rate congestion.Bitrate
}

// Stage is what a scheme is given.
type Stage struct {
	*sim.World
	Scenario
	up, down *netem.Link
	source   []Frame
	sounds   int
	arrivals []arrival
	heard    int
	wire     int64 // bytes towards the relay since skip
	back     int64 // and from it
}

type arrival struct {
	seq int64
	at  time.Duration
}

// tail is how long what is under way has at the end.
const tail = 4 * time.Second

// Run plays a scenario.
func Run(sc Scenario, seed uint64) (Result, error) {
	if sc.Latency == 0 {
		sc.Latency = 300 * time.Millisecond
	}
	if sc.For == 0 {
		sc.For = time.Minute
	}
	if sc.Skip == 0 {
		sc.Skip = 5 * time.Second
	}
	if sc.Buffers == nil {
		sc.Buffers = []time.Duration{200 * time.Millisecond, time.Second}
	}
	if sc.Trace == nil {
		sc.Trace = func(string, ...any) {}
	}
	st := &Stage{
		World: sim.New(seed), Scenario: sc,
		up: netem.NewLink(sc.Path.Up, seed, netem.Up), down: netem.NewLink(sc.Path.Down, seed, netem.Down),
	}
	st.OnVerdict = func(_ *sim.Link, v netem.Verdict) {
		if v.Dir == netem.Up {
			st.onWire(v.Size)
		} else {
			st.onBack(v.Size)
		}
	}
	tx, err := sc.Scheme.New(st)
	if err != nil {
		return Result{}, fmt.Errorf("show: %s: %w", sc.Scheme.Name, err)
	}
	enc := newSource(sc.Encoder, st.Rand("encoder"))
	var tells []Tell
	steer := func() {
		if tx.KeyframeWanted() {
			enc.ask()
		}
		before := enc.next
		if enc.tell(tx.Target()); enc.next != before {
			tells = append(tells, Tell{st.Elapsed(), enc.next})
			sc.Trace("%8.3f encoder told %d kbit/s", st.Elapsed().Seconds(), enc.next/1000)
		}
	}
	st.Every(10*time.Millisecond, steer)
	var picture, sound func()
	picture = func() {
		f := enc.picture(st.Elapsed())
		paused := sc.Pause != nil && sc.Pause(st.Elapsed())
		if paused { // the viewer waits for it, and nothing refers to it
			f.Key, f.Droppable = false, true
		}
		st.source = append(st.source, f)
		if !paused {
			tx.Write(f)
		}
		if st.Elapsed()+pictureEvery < sc.For {
			st.After(pictureEvery, picture)
		}
	}
	sound = func() {
		f := Frame{Seq: int64(st.sounds), Audio: true, Key: true, Size: soundBitrate.Bytes(soundEvery), Capture: st.Elapsed()}
		st.sounds++
		if sc.Pause == nil || !sc.Pause(st.Elapsed()) {
			tx.Write(f)
		}
		if st.Elapsed()+soundEvery < sc.For {
			st.After(soundEvery, sound)
		}
	}
	st.At(0, picture)
	st.At(0, sound)
	st.World.Run(sc.For)
	wire, back := st.wire, st.back
	st.World.Run(tail)
	r := Result{Seed: seed, Told: len(tells), Tells: tells, Drops: tx.Finish(), Faults: st.Faults()}
	st.score(&r, wire)
	r.Back = float64(back) * 8 / (st.For - st.Skip).Seconds()
	return r, nil
}

func (st *Stage) onWire(size int) {
	if st.Elapsed() >= st.Skip {
		st.wire += int64(size)
	}
}

func (st *Stage) onBack(size int) {
	if st.Elapsed() >= st.Skip {
		st.back += int64(size)
	}
}

// Send puts a packet of a model on the link to the relay: size bytes on the wire. arrived is called when it is there.
func (st *Stage) Send(size int, arrived func()) {
	st.onWire(size)
	st.carry(st.up, size, arrived)
}

// Reply is Send in the other direction.
func (st *Stage) Reply(size int, arrived func()) {
	st.onBack(size)
	st.carry(st.down, size, arrived)
}

func (st *Stage) carry(l *netem.Link, size int, arrived func()) {
	at, fate := l.Admit(st.Elapsed(), size)
	if fate.Drop != netem.Delivered || fate.Corrupted { // a checksum finds it
		return
	}
	st.At(at, arrived)
}

// Deliver says that the viewer's side has a frame whole, now: pictures in the order in which they were made.
func (st *Stage) Deliver(f Frame) {
	if f.Audio {
		st.heard++
		if f.Capture = time.Duration(f.Seq) * soundEvery; st.Watch != nil {
			st.Watch.Delivered(f, st.Now(), false)
		}
		return
	}
	st.arrivals = append(st.arrivals, arrival{f.Seq, st.Elapsed()})
	if st.Watch != nil {
		st.Watch.Delivered(st.source[f.Seq], st.Now(), f.Broken)
	}
}
