package relay

import (
	"slices"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/advice"
	"github.com/fairlead-live/fairlead/bridge/api"
	"github.com/fairlead-live/fairlead/bridge/events"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/rtmpout"
	"github.com/fairlead-live/fairlead/bridge/stutter"
	"github.com/fairlead-live/fairlead/transport/udp"
)

// adviseEachS is how often the rules are asked.
const adviseEachS = time.Second

// adviser keeps what was said about each stream.
//
// Memory: a Keeper and 60 samples for each stream there is.
type adviser struct {
	drops past // of the relay's sockets

	mu sync.Mutex // guards what follows
	by map[string]*advised
}

// advised is one stream's. It is owned by the relay's goroutine that judges; said is guarded by adviser.mu.
type advised struct {
	keeper advice.Keeper
	sent   past // packets
	lost   past
	holes  past
	inUse  past
	out    map[string]*pastOutput
	said   []advice.Sentence
}

type pastOutput struct{ dropped, inUse past }

// past remembers a counter for a minute, one sample a second.
type past struct {
	ring [61]uint64
	n    int
}

// add takes a sample, and begins anew when the counter has.
func (p *past) add(v uint64) {
	if p.n > 0 && v < p.ring[(p.n-1)%len(p.ring)] {
		p.n = 0
	}
	p.ring[p.n%len(p.ring)] = v
	p.n++
}

// over is how much it grew in the last n seconds.
func (p *past) over(n int) uint64 {
	n = min(n, p.n-1, len(p.ring)-1)
	if n <= 0 {
		return 0
	}
	return p.ring[(p.n-1)%len(p.ring)] - p.ring[(p.n-1-n)%len(p.ring)]
}

// Advice returns the sentences about a stream.
func (r *Relay) Advice(stream string) []advice.Sentence {
	r.adviser.mu.Lock()
	defer r.adviser.mu.Unlock()
	if a := r.adviser.by[stream]; a != nil {
		return slices.Clone(a.said)
	}
	return nil
}

// look asks the rules about every stream.
func (a *adviser) look(now time.Time, r *Relay) {
	drops, buffer := udpDrops(r.udpPorts())
	a.drops.add(drops)
	outs := r.outputs.stats()
	streams := r.hub.Streams()
	next := make(map[string]*advised, len(streams))
	for i := range streams {
		st := &streams[i]
		s := a.by[st.Name]
		if s == nil {
			s = &advised{out: map[string]*pastOutput{}}
		}
		next[st.Name] = s
		f := s.facts(st, r, outs)
		f.SocketDrops, f.SocketBuffer, f.SocketWanted = a.drops.over(60), buffer, udp.ReceiveBuffer
		all, began, ended := s.keeper.Look(now, &f)
		for _, x := range began {
			r.bus.Publish(events.Advice, st.Name, map[string]any{"rule": x.Rule, "text": x.Text, "evidence": x.Evidence})
			r.log.Warn("advice", "stream", st.Name, "rule", x.Rule, "text", x.Text, "evidence", x.Evidence)
		}
		for _, x := range ended {
			r.bus.Publish(events.AdviceEnd, st.Name, map[string]any{"rule": x.Rule})
			r.log.Info("advice: no longer", "stream", st.Name, "rule", x.Rule)
		}
		a.mu.Lock()
		s.said = all
		a.mu.Unlock()
	}
	a.mu.Lock()
	a.by = next
	a.mu.Unlock()
}

func (s *advised) facts(st *hub.StreamStats, r *Relay, outs []api.OutputStats) advice.Facts {
	f := advice.Facts{
		Shape: st.Shape, EncoderS: st.Stutter.Last100[stutter.Encoder].Seconds(), CapacityS: st.Stutter.Last100[stutter.Capacity].Seconds(),
		Target: float64(r.Target(st.Name)), Bitrate: st.Shape.Mean,
	}
	s.inUse.add(st.Counts.InUse)
	f.KeyInUse = s.inUse.over(60)
	if st.Publisher != nil {
		f.Protocol = st.Publisher.Protocol
	}
	if l, ok := r.Link(st.Name); ok {
		s.sent.add(l.ReceivedBytes / 1200)
		s.lost.add(l.Missing)
		s.holes.add(l.Dropped)
		f.Latency, f.Asked, f.KnowsAsked, f.RTT = l.Latency, l.Asked, l.KnowsAsked, l.RTT
		lost := float64(s.lost.over(30))
		f.Loss = lost / max(1, lost+float64(s.sent.over(30)))
		f.Holes = float64(s.holes.over(30)) / 30
	}
	for i := range outs {
		o := &outs[i]
		if o.Stream != st.Name || o.Paused {
			continue
		}
		p := s.out[o.ID]
		if p == nil {
			p = &pastOutput{}
			s.out[o.ID] = p
		}
		p.dropped.add(o.Dropped)
		p.inUse.add(o.EndedBy(rtmpout.CauseBadName))
		f.Outputs = append(f.Outputs, advice.Output{
			Destination: o.Destination, Live: o.State == rtmpout.Publishing, Lag: o.Lag, Dropped: p.dropped.over(60),
			EgressS: o.Stutter.Last100[stutter.Egress].Seconds(), KeyInUse: p.inUse.over(60) > 0,
		})
	}
	return f
}
