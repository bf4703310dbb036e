package congestion

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

const ms = time.Millisecond

// path is the least that a controller can be tried on: a queue of one rate, 60 ms of round trip, a report every 20 ms.
type path struct {
	rate  float64 // bits/s
	free  time.Duration
	sent  []Packet
	now   time.Duration
	loss  func(n int) bool
	count int
	batch []Packet
}

// run sends as fast as the controller allows for d.
func (p *path) run(c *Controller, d time.Duration) {
	end := p.now + d
	inFlight := 0
	for _, s := range p.sent {
		inFlight += s.Size
	}
	var pacer Pacer
	report := p.now
	for ; p.now < end; p.now += ms {
		for p.now >= pacer.Next() && inFlight < c.Window() {
			const size = 1200
			p.free = max(p.free, p.now) + time.Duration(size*8/p.rate*1e9)
			p.count++
			p.sent = append(p.sent, Packet{Sent: p.now, Arrival: p.free + 30*ms, Size: size, Lost: p.loss != nil && p.loss(p.count)})
			c.Sent(p.now, size)
			pacer.Sent(p.now, size, c.PacingRate())
			inFlight += size
		}
		if p.now-report < 20*ms {
			continue
		}
		report = p.now
		n := 0
		for n < len(p.sent) && p.sent[n].Arrival+30*ms <= p.now {
			inFlight -= p.sent[n].Size
			n++
		}
		if n > 0 {
			p.batch = append(p.batch[:0], p.sent[:n]...)
			c.Feedback(p.now, 60*ms, p.batch)
			p.sent = append(p.sent[:0], p.sent[n:]...)
		}
	}
}

func TestFindsTheRateAndKeepsTheQueueShort(t *testing.T) {
	c, p := New(Config{}), &path{rate: 6e6}
	p.run(c, time.Second)
	if got := c.Rate(); got < 4*Mbps {
		t.Errorf("after 1 s the rate is %d, want most of 6 Mbit/s", got)
	}
	p.run(c, 5*time.Second)
	if got := c.Rate(); got < 5*Mbps || got > 9*Mbps {
		t.Errorf("after 6 s the rate is %d, want about 6 Mbit/s", got)
	}
	if got := c.Queue(); got > 100*ms {
		t.Errorf("the queue is %v", got)
	}
	if got := c.Reason(); got != Track {
		t.Errorf("reason = %v, want track", got)
	}
}

// Loss that comes with every queue alike is not ours, and not a reason to slow down.
func TestRandomLossCostsNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	c, p := New(Config{}), &path{rate: 6e6, loss: func(int) bool { return r.Float64() < 0.1 }}
	p.run(c, 20*time.Second)
	if got := c.Loss(); math.Abs(got-0.1) > 0.04 {
		t.Errorf("usual loss = %.3f, want 0.1", got)
	}
	if got := c.Rate(); got < 4500*Kbps {
		t.Errorf("the rate is %d at 10 %% random loss, want about 6 Mbit/s", got)
	}
}

func TestSilenceIsAnOutageAndEndsWithTheFirstReport(t *testing.T) {
	c, p := New(Config{}), &path{rate: 6e6}
	p.run(c, 5*time.Second)
	before := c.Rate()
	p.now += 2 * time.Second
	c.Sent(p.now, 1200)
	if c.Reason() != Outage || c.Target() != 100*Kbps {
		t.Errorf("after 2 s of silence: %v, target %d; want outage and the minimum", c.Reason(), c.Target())
	}
	p.free, p.sent = p.now, p.sent[:0]
	p.run(c, 300*ms)
	if got := c.Rate(); got < before/2 || c.Reason() == Outage {
		t.Errorf("300 ms after the link came back: %v, rate %d of %d", c.Reason(), got, before)
	}
}

func TestMarksSlowDown(t *testing.T) {
	c, p := New(Config{}), &path{rate: 6e6}
	p.run(c, 5*time.Second)
	before := c.Rate()
	for range 20 {
		p.now += 60 * ms
		c.Sent(p.now, 1200)
		c.Feedback(p.now, 60*ms, []Packet{{Sent: p.now - 60*ms, Arrival: p.now - 30*ms, Size: 1200, CE: true}})
	}
	if got := c.Rate(); got > before*3/4 {
		t.Errorf("after 20 round trips of marks alone the rate is %d of %d", got, before)
	}
}

// The memory of a feedback is the controller's own.
func TestFeedbackAllocatesNothing(t *testing.T) {
	c, p := New(Config{}), &path{rate: 6e6}
	p.run(c, 3*time.Second)
	packets := make([]Packet, 16)
	now := p.now
	if n := testing.AllocsPerRun(1000, func() {
		now += 20 * ms
		for i := range packets {
			c.Sent(now, 1200)
			packets[i] = Packet{Sent: now - 60*ms, Arrival: now - 30*ms, Size: 1200, Lost: i == 3}
		}
		c.Feedback(now, 60*ms, packets)
		_, _, _ = c.PacingRate(), c.Window(), c.Target()
	}); n != 0 && !raceEnabled {
		t.Errorf("a feedback allocates %v times, want 0", n)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	if got := reflect.TypeFor[Controller]().Size(); got > 32<<10 {
		t.Errorf("a controller takes %d bytes, want 32 KiB at most", got)
	}
}

// A source that sends little leaves pauses; they are not gaps of the radio.
func TestPausesAreNotGaps(t *testing.T) {
	c := New(Config{})
	for i := range 200 {
		now := time.Duration(i) * 200 * ms
		c.Sent(now, 1200)
		c.Feedback(now+60*ms, 60*ms, []Packet{{Sent: now, Arrival: now + 30*ms, Size: 1200}})
	}
	if c.gapEnd != 0 {
		t.Errorf("a pause of the source was taken for a gap at %v", c.gapEnd)
	}
}

// A clock that gains 200 ppm is told from a queue by the round trip.
func TestDriftIsFound(t *testing.T) {
	var b base
	for now := time.Duration(0); now < 60*time.Second; now += 20 * ms {
		delay := 30*ms + time.Duration(200e-6*float64(now)) + 123*time.Second
		b.add(now, now, delay, 61*ms)
	}
	if math.Abs(b.drift-200e-6) > 20e-6 {
		t.Errorf("drift = %.0f ppm, want 200", b.drift*1e6)
	}
	if q := b.queue(60*time.Second, 30*ms+time.Duration(200e-6*float64(60*time.Second))+123*time.Second); q > 3*ms {
		t.Errorf("an empty queue reads %v", q)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, bad := range []Config{{Min: 1}, {Min: 2 * Mbps, Max: Mbps}, {Start: Kbps}, {Queue: time.Hour}, {MaxQueue: time.Hour}, {Max: 1 << 50}} {
		if bad.Validate() == nil {
			t.Errorf("%+v was accepted", bad)
		}
		if New(bad).Rate() != Mbps {
			t.Errorf("New(%+v) does not fall back to the default", bad)
		}
	}
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
}

// Whatever a peer reports, the outputs stay within their bounds.
func FuzzController(f *testing.F) {
	f.Add(uint64(1), []byte("\x10\x20\x30\x40\x50\x60\x70\x80"))
	f.Add(uint64(2), []byte{0, 255, 0, 255, 1, 254, 3, 3, 3, 128, 128, 9, 200, 64})
	f.Add(uint64(7), []byte{255, 255, 255, 255, 0, 0, 0, 0, 12, 13, 14})
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		r := rand.New(rand.NewPCG(seed, 0))
		c := New(Config{Start: Mbps, Min: 100 * Kbps, Max: 20 * Mbps})
		now := time.Duration(0)
		var packets [64]Packet
		for _, op := range script {
			now += time.Duration(r.IntN(1+int(op))) * 4 * ms
			n := int(op) % len(packets)
			for i := range n {
				p := &packets[i]
				*p = Packet{Sent: now - time.Duration(r.Int64N(int64(2*time.Second))), Size: r.IntN(1500), Lost: r.IntN(3) == 0, CE: r.IntN(5) == 0}
				p.Arrival = p.Sent + time.Duration(r.Int64N(int64(4*time.Second))-int64(2*time.Second))
				if op&1 != 0 {
					c.Sent(now, p.Size)
				}
			}
			c.Feedback(now, time.Duration(r.IntN(500))*ms, packets[:n])
			if rate := c.Rate(); rate < 100*Kbps || rate > 20*Mbps {
				t.Fatalf("rate = %d", rate)
			}
			if w := c.Window(); w < 1200 || w > 1<<28 {
				t.Fatalf("window = %d", w)
			}
			if x := c.PacingRate(); x < 50*Kbps || x > 40*Mbps {
				t.Fatalf("pacing rate = %d", x)
			}
			if x := c.Target(); x <= 0 || x > 20*Mbps {
				t.Fatalf("target = %d", x)
			}
			if l := c.Loss(); !(l >= 0 && l <= usualMax) {
				t.Fatalf("loss = %v", l)
			}
		}
	})
}

// A slow link whose scheduler serves some small packets at once, and then nobody for a while: what arrives is a rate over both. And who sends more than
// is granted has not yielded: a queue that stands is its own, and no rival's.
func TestSlowSchedulerIsNoBurst(t *testing.T) {
	c, p := New(Config{}), &path{rate: 2e6}
	p.run(c, 5*time.Second)
	const every, each, size = 200 * ms, 3, 450 // 54 kbit/s
	delay := 30 * ms
	for end := p.now + 20*time.Second; p.now < end; p.now += every {
		batch := make([]Packet, each)
		for i := range batch { // each waits longer: the link carries a sixth of what is sent
			batch[i] = Packet{Sent: p.now - delay + time.Duration(i)*every/3/each, Arrival: p.now, Size: size}
		}
		for i := range 6 * each {
			c.Sent(p.now+time.Duration(i)*every/18, size)
		}
		delay = min(600*ms, delay+every/8)
		c.Feedback(p.now+30*ms, 60*ms, batch)
		if p.now > end-15*time.Second && c.Capacity() > 150*Kbps {
			t.Fatalf("at %v C is %d kbit/s on a link of 54", p.now, c.Capacity()/Kbps)
		}
		if c.Reason() == Compete {
			t.Fatalf("at %v: compete, and nobody is there", p.now)
		}
	}
}
