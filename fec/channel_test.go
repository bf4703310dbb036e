package fec

import (
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/fec/limit"
)

// cell is one place of the grid of goals: 4 Mbit/s, 30 frames/s, 14 packets a frame, limit.Practical's clock.
type cell struct {
	channel limit.Channel
	rtt, d  time.Duration
}

const (
	frame   = time.Second / 30
	packets = 14
)

func (c cell) round() time.Duration { return c.rtt + limit.Practical.PerRound }

func (c cell) rounds(frames int) int {
	left := TransmissionsLeft(epoch, epoch.Add(c.d-time.Duration(frames-1)*frame), limit.Practical.Spread, c.round())
	return max(left-1, 0)
}

func (c cell) idle() float64 { return float64(c.round()) / float64(frame) * packets }

func (c cell) String() string {
	return fmt.Sprintf("p %4.0f%% L %.0f %3d/%-4d", 100*c.channel.Loss, c.channel.Burst, c.rtt.Milliseconds(), c.d.Milliseconds())
}

// play sends n blocks by the plan over a simulated channel, each in a state of its own, and returns the share of source
// packets sent on top and the share of blocks that were not complete.
func (c cell) play(p *Plan, frames, n int, r *rand.Rand) (overhead, fail float64) {
	g := newGilbert(r, c.channel)
	k, rounds := frames*packets, c.rounds(frames)
	var dither Dither
	sent, failed := 0, 0
	send := func(n int) (lost int) {
		sent += n
		for range n {
			if g.lost() {
				lost++
			}
		}
		return lost
	}
	for range n {
		g.bad = r.Float64() < c.channel.Loss
		start := p.Proactive(k, rounds, Reference, dither.Next())
		missing := send(k+start.Parity) - start.Parity
		for left := rounds; left > 0 && missing > 0; left-- {
			n := p.Repair(start.Price, missing, left, g.bad)
			var from limit.Dist
			if from[0] = 1; g.bad {
				from = limit.Dist{0, 1}
			}
			g.bad = r.Float64() < c.channel.Idle(from, c.idle())[limit.Bad]
			missing -= n - send(n)
		}
		if missing > 0 {
			failed++
		}
	}
	return float64(sent)/float64(n*k) - 1, float64(failed) / float64(n)
}

// slide sends n frames with the real code over a sliding window, and returns the same.
func (c cell) slide(t *testing.T, rate float64, window, n int, r *rand.Rand) (overhead, fail float64) {
	cfg := Config{Symbols: 1024, SymbolBytes: 64, Equations: 256}
	e, err := NewEncoder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := NewDecoder(cfg)
	g := newGilbert(r, c.channel)
	var acc Accumulator
	var repair []byte
	payload := []byte{0, 0, 0, 0}
	sent, failed := 0, 0
	d.Source(0, payload)
	e.Put(0, payload)
	for f := range n {
		first := int64(1 + f*packets)
		for i := range int64(packets) {
			payload[0], payload[1] = byte(first+i), byte((first+i)>>8)
			e.Put(first+i, payload)
			if !g.lost() {
				d.Source(first+i, payload)
			}
		}
		base := max(first-int64(window-1)*packets, 1)
		count := int(first + packets - base)
		if count > MaxCount { // a window of more than 128 packets is cut
			base, count = first+packets-MaxCount, MaxCount
		}
		for range acc.Take(rate * packets) {
			sent++
			repair, _ = e.AppendRepair(repair[:0], base, count, e.NextRow())
			if !g.lost() {
				d.Repair(base, count, 0, nil) // counted as malformed: keeps the books of drops busy
				d.Repair(base, count, (e.row+MaxRows-1)%MaxRows, repair)
			}
		}
		for {
			if _, _, ok := d.Recovered(); !ok {
				break
			}
		}
		if due := f - window + 1; due >= 0 {
			for i := range int64(packets) {
				if !d.Known(int64(1+due*packets) + i) {
					failed++
					break
				}
			}
		}
	}
	return float64(sent) / float64(n*packets), float64(failed) / float64(n)
}

// limits reads the practical table beside the checkout: hybrid and sliding window at a target.
func limits(t *testing.T, eps float64) map[cell][2]float64 {
	f, err := os.Open(filepath.Join("..", "..", "shared", "limits", "practical.csv"))
	if err != nil {
		t.Logf("no limits to print beside: %v", err)
		return nil
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	m := map[cell][2]float64{}
	for _, l := range lines[1:] {
		var x [18]float64
		for i := range 15 {
			fmt.Sscan(l[i], &x[i])
		}
		if math.Abs(x[2]-eps) < eps/10 {
			c := cell{limit.Channel{Loss: x[1], Burst: x[0]}, time.Duration(x[3]) * time.Millisecond, time.Duration(x[4]) * time.Millisecond}
			m[c] = [2]float64{x[14], x[13]}
		}
	}
	return m
}

// TestPolicyOnTheGrid plays plans on the channels they are made for: the target is met, and what it costs stands beside
// the limit. FAIRLEAD_GRID=1 plays all 120 cells with a million blocks each.
func TestPolicyOnTheGrid(t *testing.T) {
	losses, bursts, blocks := []float64{0.02, 0.1}, []float64{0, 3, 8}, 100000
	times := [][2]int{{60, 120}, {60, 200}, {150, 300}, {300, 500}}
	if os.Getenv("FAIRLEAD_GRID") != "" {
		losses, blocks = []float64{0.01, 0.02, 0.05, 0.1, 0.2}, 1000000
		times = [][2]int{{20, 120}, {60, 120}, {60, 200}, {60, 300}, {150, 300}, {150, 500}, {300, 300}, {300, 500}, {300, 1000}}
	} else if testing.Short() {
		losses, bursts, times, blocks = losses[1:], bursts[:2], times[:2], 10000
	}
	table := limits(t, Reference.Target())
	target := Reference.Target()
	for _, burst := range bursts {
		for _, loss := range losses {
			for _, rd := range times {
				c := cell{limit.Channel{Loss: loss, Burst: burst}, time.Duration(rd[0]) * time.Millisecond, time.Duration(rd[1]) * time.Millisecond}
				if c.rounds(1) == 0 {
					continue // a window: TestSlidingPolicy
				}
				p := newPlan(Setting{Loss: loss, Burst: burst, Idle: c.idle()})
				frames := p.Blocks(packets, Reference, c.rounds)
				r := rand.New(rand.NewPCG(31, uint64(rd[1])))
				overhead, fail := c.play(p, frames, blocks, r)
				line := fmt.Sprintf("%v R %d B %d: overhead %5.1f %% (planned %5.1f), loss %.1e", c, c.rounds(frames), frames, 100*overhead, 100*p.Overhead(frames*packets, c.rounds(frames), Reference), fail)
				if l, ok := table[c]; ok {
					line += fmt.Sprintf(", limit %5.1f %%, ratio %.2f", 100*l[0], overhead/l[0])
					if overhead > 1.10*l[0]+0.005 && c.rounds(frames) >= 2 || overhead > 1.25*l[0]+0.01 {
						t.Errorf("%v: overhead %.4f, limit %.4f", c, overhead, l[0])
					}
				}
				t.Log(line)
				if sigma := math.Sqrt(target / float64(blocks)); fail > target+4*sigma {
					t.Errorf("%v: %.2g of the blocks fail, target %.2g", c, fail, target)
				}
				if want := p.Overhead(frames*packets, c.rounds(frames), Reference); math.Abs(overhead-want) > 0.08*want+0.001 { // 84 packets are planned as 96
					t.Errorf("%v: overhead %.4f, planned %.4f", c, overhead, want)
				}
			}
		}
	}
}

// TestSlidingPolicy plays the window with the real encoder and decoder where no round fits.
func TestSlidingPolicy(t *testing.T) {
	frames := 15000
	if testing.Short() {
		frames = 3000
	}
	table := limits(t, Reference.Target())
	cells := []cell{
		{limit.Channel{Loss: 0.05}, 150 * time.Millisecond, 120 * time.Millisecond},
		{limit.Channel{Loss: 0.05}, 300 * time.Millisecond, 300 * time.Millisecond},
		{limit.Channel{Loss: 0.1, Burst: 3}, 300 * time.Millisecond, 300 * time.Millisecond},
	}
	if testing.Short() {
		cells = cells[:1]
	}
	for _, c := range cells {
		window := int((c.d-limit.Practical.Spread)/frame) + 1
		p := newPlan(Setting{Loss: c.channel.Loss, Burst: c.channel.Burst, Frames: window, Packets: packets})
		overhead, fail := c.slide(t, p.Window(), window, frames, rand.New(rand.NewPCG(33, 34)))
		line := fmt.Sprintf("%v window %d: overhead %5.1f %%, loss %.1e", c, window, 100*overhead, fail)
		if l, ok := table[c]; ok {
			line += fmt.Sprintf(", limit %5.1f %% (window), ratio %.2f", 100*l[1], overhead/l[1])
			if overhead > 1.35*l[1]+0.02 {
				t.Errorf("%v: overhead %.4f, limit %.4f", c, overhead, l[1])
			}
		}
		t.Log(line)
		// Failures come in runs of up to a window: the sample is worth that much less.
		if sigma := math.Sqrt(1e-4 / float64(frames) * float64(window)); fail > 1e-4+4*sigma {
			t.Errorf("%v: %.2g of the frames fail", c, fail)
		}
	}
}
