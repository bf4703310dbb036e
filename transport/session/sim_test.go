package session

import (
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bench/netem/profile"
	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/bench/sim/simtest"
	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
)

// receiverNode lets a receiver see ECN marks.
type receiverNode struct{ *Receiver }

func (r receiverNode) HandleArrival(now time.Time, b []byte, a sim.Arrival) {
	ecn := uint8(0)
	if a.CE {
		ecn = 3
	}
	r.HandleECN(now, b, ecn)
}

// simPair runs a sender and a receiver over a path of the bench and checks the invariants as it goes: frames in
// order, none twice, none after its deadline, and at the end the sum rule to the packet.
type simPair struct {
	tx    *Sender
	rx    *Receiver
	got   int
	wrote int
}

func newSimPair(t *testing.T, w *sim.World, p sim.Path, cfg Config, bitrate congestion.Bitrate) *simPair {
	t.Helper()
	clean := newWorld(t, w.Seed(), cfg, nil, nil, video4M()) // for its keys
	s := &simPair{tx: clean.tx, rx: clean.rx}
	s.tx.zero = sim.Epoch
	s.rx.zero = sim.Epoch.Add(-time.Hour)
	link := w.Connect(p, s.tx, receiverNode{s.rx})
	last := time.Duration(-1)
	link.B.OnWake = func(now time.Time) {
		for {
			f, ok := s.rx.PopPayload(now)
			if !ok {
				return
			}
			s.got++
			if f.DTS <= last {
				w.Fault("frame of %v after that of %v", f.DTS, last)
			}
			last = f.DTS
			if now.After(f.Deadline.Add(time.Millisecond)) { // a lower delay moves deadlines by 2 % of the time
				w.Fault("frame of %v is %v late", f.DTS, now.Sub(f.Deadline))
			}
			if len(f.Data) == 0 || f.Data[0] != byte(f.DTS.Milliseconds()/10) {
				w.Fault("frame of %v has the data of another", f.DTS)
			}
		}
	}
	rng := w.Rand("frames")
	src := source{bitrate: bitrate, fps: 30, keyEvery: 60, keyRatio: 4, spread: 0.2}
	data := make([]byte, 1<<20)
	w.Every(10*time.Millisecond, func() {
		n := int64(w.Elapsed() / (10 * time.Millisecond))
		f := transport.Frame{PTS: w.Elapsed(), DTS: w.Elapsed(), Capture: w.Now()}
		switch {
		case n%3 == 0: // 33 frames/s of video
			size, key := src.size(rng, n/3)
			f.Codec, f.Data = transport.H264, data[:size]
			if key {
				f.Flags |= transport.Key
			} else if n%2 == 0 {
				f.Flags |= transport.Droppable
			}
		case n%2 == 0:
			f.Codec, f.Track, f.Flags, f.Data = transport.AAC, 1, transport.Key, data[:200]
		default:
			return
		}
		f.Data[0] = byte(f.DTS.Milliseconds() / 10)
		if err := s.tx.WriteFrame(w.Now(), &f); err == nil {
			s.wrote++
		}
		if w.Seed()%3 == 0 { // a shell that computes plans; the others do not
			plan(s.tx)
		}
		link.A.Wake()
	})
	return s
}

func (s *simPair) finish(t *testing.T) transport.Stats {
	t.Helper()
	st := transport.Combine(s.tx.Stats(), s.rx.Stats())
	if err := st.Check(); err != nil {
		t.Error(err)
	}
	if int(st.FramesDelivered) != s.got || st.FramesDelivered+st.FramesLost > st.FramesSent {
		t.Errorf("%d frames sent, %d delivered, %d lost; popped %d", st.FramesSent, st.FramesDelivered, st.FramesLost, s.got)
	}
	if held := s.rx.buffer.End() - s.rx.buffer.Next(); held > int64(s.rx.cfg.packets()) {
		t.Errorf("%d packets held", held)
	}
	return st
}

// Every named link of the bench, several seeds each.
func TestProfiles(t *testing.T) {
	seconds := 6 * time.Second
	if testing.Short() {
		seconds = 3 * time.Second
	}
	for i, p := range profile.List() {
		if testing.Short() && i%4 > 0 {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			simtest.ForSeeds(t, 3, func(t *testing.T, w *sim.World) {
				s := newSimPair(t, w, sim.Path{Up: p.Up, Down: p.Down}, Config{
					Latency: 400 * time.Millisecond, InOrder: w.Seed() == 2, Controller: &congestion.Fixed{Rate: 3 * congestion.Mbps},
				}, 1500*congestion.Kbps)
				w.Run(seconds)
				st := s.finish(t)
				if st.FramesSent > 0 && w.Seed() == 0 {
					t.Logf("frames %d/%d, packets recovered %d, lost %d, late %d", st.FramesDelivered, st.FramesSent, st.Recovered, st.Lost, st.Late)
				}
			})
		})
	}
}

// Jitter that reorders, duplicates, corrupted bits: all at once.
func TestUglyPath(t *testing.T) {
	simtest.ForSeeds(t, 12, func(t *testing.T, w *sim.World) {
		ugly, err := netem.ParseWords("rate 10mbit delay 30ms 4ms loss 3% duplicate 2% corrupt 1% reorder 1%")
		if err != nil {
			t.Fatal(err)
		}
		s := newSimPair(t, w, sim.Path{Up: ugly, Down: ugly}, Config{Latency: 300 * time.Millisecond}, 2*congestion.Mbps)
		w.Run(10 * time.Second)
		st := s.finish(t)
		if st.FramesLost*500 > st.FramesSent {
			t.Errorf("%d of %d frames lost, want at most 0.2 %%", st.FramesLost, st.FramesSent)
		}
		if st.Drops[transport.DropUnauthentic] == 0 || st.Drops[transport.DropReplayed] == 0 {
			t.Errorf("corrupted and duplicated packets went uncounted: %v", st.Drops)
		}
	})
}

// marked counts the marks that a controller is told of.
type marked struct {
	congestion.Fixed
	marks, losses int
}

func (m *marked) Feedback(now, minRTT time.Duration, packets []congestion.Packet) {
	for i := range packets {
		if packets[i].CE {
			m.marks++
		}
		if packets[i].Lost {
			m.losses++
		}
	}
	m.Fixed.Feedback(now, minRTT, packets)
}

// A link of the bench that marks instead of dropping: each mark comes back in the RFC 8888 reports, and none as a loss.
func TestMarksComeBack(t *testing.T) {
	simtest.ForSeeds(t, 3, func(t *testing.T, w *sim.World) {
		up, err := netem.ParseWords("delay 30ms loss 5% ecn")
		if err != nil {
			t.Fatal(err)
		}
		c := &marked{Fixed: congestion.Fixed{Rate: 6 * congestion.Mbps}}
		s := newSimPair(t, w, sim.Path{Up: up, Down: netem.Config{Delay: up.Delay}}, Config{Latency: 300 * time.Millisecond, Controller: c}, 2*congestion.Mbps)
		w.Run(10 * time.Second)
		st := s.finish(t)
		if share := float64(c.marks) / float64(s.tx.Stats().Datagrams); share < 0.04 || share > 0.06 || c.losses > 0 || st.Recovered > 0 {
			t.Errorf("%.1f %% of the packets came back marked, want the 5 that the link marks; %d losses", 100*share, c.losses)
		}
	})
}
