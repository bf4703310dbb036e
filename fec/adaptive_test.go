package fec

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/fec/limit"
)

// sender is a small model of a session's sending half: it knows the channel only from feedback, which tells of a packet
// one round after it was sent. Every 60th frame is a key frame of 4 × 14 packets in sub-blocks.
type sender struct {
	c        cell
	g        *gilbert
	loss     LossEstimator
	planner  *Planner
	dither   Dither
	now      time.Duration
	lastSlot float64
	events   []event // by time
	sent     int
	sources  int
	plans    int
	relax    float64
}

type block struct {
	k, missing int
	lastLost   bool
	price      Price
	class      Class
	deadline   time.Duration
	frames     int
	fates      []bool // of the newest transmission
}

type event struct {
	at time.Duration
	b  *block
}

// send puts n packets on the channel, after the idle time since the last ones.
func (s *sender) send(b *block, n int) (lost int) {
	slot := float64(s.now) / float64(frame) * packets
	if idle := slot - s.lastSlot; idle > 0 {
		var from limit.Dist
		if from[0] = 1; s.g.bad {
			from = limit.Dist{0, 1}
		}
		s.g.bad = s.g.r.Float64() < s.c.channel.Idle(from, idle)[limit.Bad]
		s.lastSlot = slot
	}
	s.lastSlot += float64(n)
	s.sent += n
	for range n {
		l := s.g.lost()
		if l {
			lost++
		}
		b.lastLost = l
		b.fates = append(b.fates, l)
	}
	return lost
}

func (s *sender) after(b *block) {
	e := event{s.now + s.c.round(), b}
	i, _ := slices.BinarySearchFunc(s.events, e, func(a, b event) int { return int(a.at - b.at) })
	s.events = slices.Insert(s.events, i, e)
}

func (s *sender) left(b *block) int {
	return TransmissionsLeft(epoch.Add(s.now), epoch.Add(b.deadline), 0, s.c.round())
}

// feedback runs what becomes known until a time.
func (s *sender) feedback(until time.Duration) {
	for len(s.events) > 0 && s.events[0].at <= until {
		e := s.events[0]
		s.events = s.events[1:]
		s.now = e.at
		for _, l := range e.b.fates {
			s.loss.Observe(epoch.Add(s.now), l)
		}
		e.b.fates = e.b.fates[:0]
		if n := s.plan().Repair(e.b.price, e.b.missing, s.left(e.b), e.b.lastLost); n > 0 {
			e.b.missing -= n - s.send(e.b, n)
			s.after(e.b)
		}
	}
	s.now = until
}

func (s *sender) plan() *Plan {
	set := s.loss.Estimate().Setting(s.c.idle())
	set.Relax = s.relax
	p := s.planner.Use(set)
	if want, ok := s.planner.Wanted(); ok {
		p = NewPlan(want)
		s.planner.Add(p)
		s.plans++
	}
	return p
}

// run sends n frames and returns the overhead and the share of all and of key frames that were lost.
func (s *sender) run(n int) (overhead, lost, keyLost float64) {
	var all []*block
	for f := 0; f < n; {
		s.feedback(time.Duration(f) * frame)
		if f%60 == 0 {
			for at, left := 0, 4*packets; left > 0; at++ {
				k := SubBlock(left)
				left -= k
				s.feedback(time.Duration(f)*frame + time.Duration(at)*5*time.Millisecond)
				b := &block{k: k, class: Key, deadline: time.Duration(f)*frame + s.c.d}
				if at == 0 {
					b.frames = 1
				}
				all = append(all, b)
				s.sources += k
				start := s.plan().Proactive(k, s.left(b)-1, Key, s.dither.Next())
				b.price = start.Price
				b.missing = s.send(b, k+start.Parity) - start.Parity
				s.after(b)
			}
			f++
			continue
		}
		frames := s.plan().Blocks(packets, Reference, func(frames int) int { return s.c.rounds(frames) })
		frames = min(frames, 60-f%60)
		b := &block{k: frames * packets, deadline: time.Duration(f)*frame + s.c.d, frames: frames}
		all = append(all, b)
		s.sources += b.k
		lost := 0
		for i := range frames {
			s.feedback(time.Duration(f+i) * frame)
			lost += s.send(b, packets)
		}
		start := s.plan().Proactive(b.k, s.left(b)-1, Reference, s.dither.Next())
		b.price = start.Price
		b.missing = lost + s.send(b, start.Parity) - start.Parity
		s.after(b)
		f += frames
	}
	s.feedback(s.now + 10*time.Second)
	frames, failed, keys, keysFailed := 0, 0, 0, 0
	for _, b := range all {
		frames += b.frames
		if b.missing > 0 {
			failed += max(1, b.frames)
		}
		if b.class == Key {
			keys++
			if b.missing > 0 {
				keysFailed++
			}
		}
	}
	return float64(s.sent)/float64(s.sources) - 1, float64(failed) / float64(frames), float64(keysFailed) / float64(keys)
}

// TestControllerThatMustGuess plays estimator, planner and policy together. FAIRLEAD_GRID=1 plays the whole grid.
func TestControllerThatMustGuess(t *testing.T) {
	losses, bursts, frames := []float64{0.02, 0.1}, []float64{0, 3}, 6000
	times := [][2]int{{60, 120}, {60, 200}, {60, 300}}
	if os.Getenv("FAIRLEAD_GRID") != "" {
		losses, bursts, frames = []float64{0.01, 0.02, 0.05, 0.1, 0.2}, []float64{0, 3, 8}, 30000
		times = [][2]int{{20, 120}, {60, 120}, {60, 200}, {60, 300}, {150, 300}, {150, 500}, {300, 500}, {300, 1000}}
	} else if testing.Short() {
		losses, bursts, frames = losses[1:], bursts[:1], 3000
	}
	// At a tenth of the care, for comparison with the tables of 1e-3.
	relax, _ := strconv.ParseFloat(os.Getenv("FAIRLEAD_RELAX"), 64)
	table := limits(t, 1e-4*max(relax, 1))
	for _, burst := range bursts {
		for _, loss := range losses {
			for _, rd := range times {
				c := cell{limit.Channel{Loss: loss, Burst: burst}, time.Duration(rd[0]) * time.Millisecond, time.Duration(rd[1]) * time.Millisecond}
				s := &sender{c: c, relax: relax, planner: NewPlanner(), g: newGilbert(rand.New(rand.NewPCG(41, 42)), c.channel)}
				overhead, lost, keyLost := s.run(frames)
				line := fmt.Sprintf("%v R %d: overhead %5.1f %%, frames lost %.1e, key blocks lost %.1e, a plan every %.0f s", c, c.rounds(1), 100*overhead, lost, keyLost, float64(frames)/30/float64(max(s.plans, 1)))
				if l, ok := table[c]; ok {
					line += fmt.Sprintf(", limit %5.1f %%, ratio %.2f", 100*l[0], overhead/l[0])
				}
				t.Log(line)
				if most := 1e-3 + 3/float64(frames); lost > most && c.rounds(1) >= 2 {
					t.Errorf("%v: %.2g of the frames are lost", c, lost)
				}
			}
		}
	}
}
