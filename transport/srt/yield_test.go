package srt

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/bench/sim/simtest"
	"github.com/fairlead-live/fairlead/transport/srt/srtla"
)

// late is a caller that calls at a time.
type late struct {
	*caller
	at time.Duration
}

func (l late) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	if now.Sub(sim.Epoch) < l.at {
		return dst, false
	}
	return l.caller.AppendDatagram(dst, now)
}

func (l late) NextTimeout() time.Time {
	if l.began.IsZero() {
		return sim.Epoch.Add(l.at)
	}
	return l.caller.NextTimeout()
}

// duel is two callers for one stream over a path each; the second one calls at a time.
type duel struct {
	w     *sim.World
	all   *ports
	tx    [2]*caller
	links [2]*sim.Link
}

func newDuel(w *sim.World, cfg Config, at time.Duration, paths [2]sim.Path) *duel {
	d := &duel{w: w, all: &ports{s: newServer(cfg), front: srtla.New([32]byte{1}), by: map[netip.AddrPort]*port{}}}
	d.all.s.sendTo = d.all.send
	for i, p := range paths {
		d.tx[i] = newCaller(uint32(i)+7, 1000, "k", cfg.Latency)
		d.all.list = append(d.all.list, &port{all: d.all})
		d.links[i] = w.Connect(p, late{d.tx[i], time.Duration(i) * at}, d.all.list[i])
		d.all.list[i].end = d.links[i].B
	}
	return d
}

// send sends a payload from the ith, once that is connected.
func (d *duel) send(i int) {
	if d.tx[i].state == 2 {
		payload := make([]byte, 1316)
		binary.BigEndian.PutUint32(payload, uint32(i))
		d.tx[i].push(d.links[i].A.Now(), payload)
		d.links[i].A.Wake()
	}
}

// A publisher that comes back with its key, from another port and with the same or another socket id, while the connection it had is not
// known to be dead: issue 6 wants it delivered two round trips and the latency after the listener has first heard of it.
func TestComesBack(t *testing.T) {
	const left = 3 * time.Second
	for _, rtt := range []time.Duration{20, 40, 100, 200, 300} {
		if testing.Short() && rtt != 40 {
			continue
		}
		for _, c := range []struct {
			id      uint32
			latency time.Duration
		}{{8, 120}, {7, 120}, {8, 500}, {7, 500}} {
			rtt, latency := rtt*time.Millisecond, c.latency*time.Millisecond
			w := sim.New(1)
			d := newDuel(w, Config{Latency: latency}, left, [2]sim.Path{both(delayed(rtt / 2)), both(delayed(rtt / 2))})
			d.tx[1].id = c.id
			var next [2]time.Duration
			for w.Elapsed() < left+rtt*3+latency {
				for i := range next {
					if w.Elapsed() >= next[i] && d.tx[i].state == 2 && (i == 1 || w.Elapsed() < left) {
						next[i] = w.Elapsed() + interval
						d.send(i)
					}
				}
				w.Run(100 * time.Microsecond)
			}
			var first time.Duration
			for _, p := range d.all.s.got {
				if p.n == 1 {
					first = p.at.Sub(sim.Epoch) - left - rtt/2
					break
				}
			}
			t.Logf("RTT %v, latency %v, id %d: delivering after %v", rtt, latency, c.id, first)
			if most := 2*rtt + latency + 200*time.Microsecond; first == 0 || first > most {
				t.Errorf("RTT %v, latency %v, id %d: delivering after %v, want ≤ %v", rtt, latency, c.id, first, most)
			}
		}
	}
}

// Who sends keeps the stream, though it sends in bursts, over a path that loses and delays: another caller is told after a while.
func TestWhoSendsKeepsTheStream(t *testing.T) {
	took := 0
	simtest.ForSeeds(t, 10*seeds, func(t *testing.T, w *sim.World) {
		if testing.Short() && w.Seed() > 1 {
			return
		}
		const called = 12 * time.Second
		up := lossy(30*time.Millisecond, 0.05)
		up.Delay.Jitter, up.Delay.Dist = 10*time.Millisecond, netem.Normal
		d := newDuel(w, Config{Latency: 200 * time.Millisecond}, called, [2]sim.Path{{Up: up, Down: delayed(30 * time.Millisecond)}, both(delayed(5 * time.Millisecond))})
		asked := time.Duration(0)
		d.all.s.admit = func(r *Request) RejectCode {
			if r.Peer == d.links[1].A.Addr() {
				asked = w.Elapsed()
				if r.Replaces == nil {
					return 2409
				}
				took++
			}
			return 0
		}
		for w.Elapsed() < called+time.Second {
			for range 15 { // 25 pictures a second, each in one burst
				d.send(0)
			}
			w.Run(40 * time.Millisecond)
		}
		if wait := asked - called; asked == 0 || wait < yieldWithin && took == 0 || wait > yieldWithin+100*time.Millisecond || took == 0 && d.tx[1].code != 2409 {
			t.Errorf("decided about after %v, code %d", wait, d.tx[1].code)
		}
	})
	if took > 0 {
		t.Errorf("%d took it over", took)
	}
}
