package adapt

import (
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/srt"
)

// receiver is a Listener as a node of a world with one link, which keeps count of what comes out.
type receiver struct {
	l    *srt.Listener
	conn *srt.Conn
	out  [][]byte
	got  int
}

func (r *receiver) HandleDatagram(time.Time, []byte) {}

func (r *receiver) HandleArrival(now time.Time, b []byte, a sim.Arrival) {
	r.l.HandleDatagram(now, a.From, b)
}

func (r *receiver) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	for c := r.l.Next(now); c != nil; c = r.l.Next(now) {
		for _, ok := c.PopPayload(now); ok; _, ok = c.PopPayload(now) {
			r.got++
		}
		for b, ok := c.AppendDatagram(nil, now); ok; b, ok = c.AppendDatagram(nil, now) {
			r.out = append(r.out, b)
		}
	}
	for q, ok := r.l.NextRequest(); ok; q, ok = r.l.NextRequest() {
		r.conn = r.l.Accept(now, q)
	}
	for b, _, ok := r.l.AppendDatagram(nil, now); ok; b, _, ok = r.l.AppendDatagram(nil, now) {
		r.out = append(r.out, b)
	}
	if len(r.out) == 0 {
		return dst, false
	}
	b := r.out[0]
	r.out = r.out[1:]
	return append(dst, b...), true
}

func (r *receiver) NextTimeout() time.Time { return r.l.NextTimeout() }

// show is an encoder of 30 frames a second that does what a rule says, over our caller and our listener.
type show struct {
	targets        []congestion.Bitrate // one a second
	pushed, played int
}

func play(t *testing.T, r Rule, words string, latency time.Duration, seconds int) (s show) {
	t.Helper()
	up, err := netem.ParseWords(words)
	if err != nil {
		t.Fatal(err)
	}
	c, err := srt.NewCaller(srt.CallerConfig{Latency: latency})
	if err != nil {
		t.Fatal(err)
	}
	w, rx := sim.New(1), &receiver{l: srt.NewListener(srt.Config{})}
	link := w.Connect(sim.Path{Up: up, Down: netem.Config{Delay: up.Delay}}, c, rx)
	watch := Watch{Rule: r}
	var target congestion.Bitrate
	frame := make([]byte, 1316)
	bits := congestion.Bitrate(0)
	w.Every(10*time.Millisecond, func() { target = watch.Update(link.A.Now(), c) })
	w.Every(time.Second/30, func() {
		if w.Elapsed() > time.Duration(seconds)*time.Second {
			return // what is under way arrives
		}
		for bits += target / 30; bits >= 8*1316; bits -= 8 * 1316 {
			s.pushed++
			c.Push(link.A.Now(), frame)
		}
		link.A.Wake()
	})
	w.Every(time.Second, func() { s.targets = append(s.targets, target) })
	w.Run(time.Duration(seconds)*time.Second + latency + time.Second)
	s.played = rx.got
	return s
}

func mean64(x []congestion.Bitrate) congestion.Bitrate {
	var sum congestion.Bitrate
	for _, v := range x {
		sum += v
	}
	return sum / congestion.Bitrate(len(x))
}

// What each rule does of our own ACKs on a path that goes from 6 to 2.5 Mbit/s and back: it follows down, and comes up again.
func TestRulesOverOurCaller(t *testing.T) {
	const words = "delay 30ms rate 6mbit limit 500ms at 40s rate 2500kbit at 60s rate 6mbit"
	if testing.Short() {
		t.Skip("make test runs it")
	}
	for _, c := range []struct {
		name    string
		latency time.Duration
		make    func(Range) Rule
		least   float64 // of the capacity used in the three phases
		lost    float64 // most of the packets
	}{
		{"belacoder", 2 * time.Second, func(r Range) Rule { return NewBelacoder(r) }, 0.2, 0.02},
		{"moblin-belabox", 2 * time.Second, func(r Range) Rule { return NewMoblinBelabox(r) }, 0.2, 0.02},
		{"moblin-fight", 2 * time.Second, func(r Range) Rule { return NewMoblinFight(r) }, 0.2, 0.02},
		{"delay", 2 * time.Second, func(r Range) Rule { return NewDelay(r) }, 0.6, 0.005},
		{"delay", 400 * time.Millisecond, func(r Range) Rule { return NewDelay(r) }, 0.6, 0.005},
	} {
		s := play(t, c.make(Range{Min: 300 * congestion.Kbps, Max: 8 * congestion.Mbps}), words, c.latency, 100)
		lost := 1 - float64(s.played)/float64(s.pushed)
		a, b, d := mean64(s.targets[25:40]), mean64(s.targets[45:60]), mean64(s.targets[85:100])
		t.Logf("%s, latency %v: %d, %d, %d kbit/s of 6000, 2500, 6000; %.2f %% of %d packets not played", c.name, c.latency, a/1000, b/1000, d/1000, 100*lost, s.pushed)
		for i, x := range []struct{ got, capacity congestion.Bitrate }{{a, 6000}, {b, 2500}, {d, 6000}} {
			if use := float64(x.got) / 1000 / float64(x.capacity); use < c.least || use > 1.05 {
				t.Errorf("%s, latency %v: phase %d uses %.2f", c.name, c.latency, i, use)
			}
		}
		if lost > c.lost {
			t.Errorf("%s, latency %v: %.3f not played", c.name, c.latency, lost)
		}
	}
}
