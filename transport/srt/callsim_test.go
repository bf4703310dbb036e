package srt

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/bench/sim/simtest"
)

// call is a Caller that sends to a Listener over a path, and what became of it.
type call struct {
	w    *sim.World
	link *sim.Link
	tx   *Caller
	rx   *server
	sent []time.Duration // world time of packet i
}

func newCall(t *testing.T, w *sim.World, p sim.Path, tx CallerConfig, rx Config) *call {
	t.Helper()
	binary.BigEndian.PutUint64(tx.Secret[:], w.Seed())
	c, err := NewCaller(tx)
	if err != nil {
		t.Fatal(err)
	}
	r := &call{w: w, tx: c, rx: newServer(rx)}
	r.link = w.Connect(p, c, r.rx)
	return r
}

// stream connects and sends a packet each interval for d, and lets what is under way arrive.
func (r *call) stream(d time.Duration) {
	for !r.tx.Connected() && r.tx.Err() == nil {
		r.w.Run(10 * time.Millisecond)
	}
	payload := make([]byte, 1316)
	for end := r.w.Elapsed() + d; r.w.Elapsed() < end; r.w.Run(interval) {
		binary.BigEndian.PutUint32(payload, uint32(len(r.sent)))
		if r.tx.Push(r.link.A.Now(), payload) {
			r.sent = append(r.sent, r.w.Elapsed())
		}
		r.link.A.Wake()
	}
	r.w.Run(time.Second)
}

// missing is the share of packets that did not come out; order and sums are checked on the way.
func (r *call) missing(t *testing.T) float64 {
	t.Helper()
	for i := 1; i < len(r.rx.got); i++ {
		if r.rx.got[i].n <= r.rx.got[i-1].n {
			t.Fatalf("payload %d after %d", r.rx.got[i].n, r.rx.got[i-1].n)
		}
	}
	r.check(t)
	return 1 - float64(len(r.rx.got))/float64(max(len(r.sent), 1))
}

// check: the sums of both sides.
func (r *call) check(t *testing.T) {
	t.Helper()
	s := r.tx.Stats()
	if s.Taken != s.Unsent+uint64(s.Queued)+s.Sent || s.Sent != s.Acked+s.Dropped+uint64(s.InFlight) || r.tx.pool.used != s.Queued+s.InFlight {
		t.Errorf("sums: %+v, %d buffers", s, r.tx.pool.used)
	}
	for _, c := range r.rx.conns {
		checkSums(t, c)
	}
}

func TestCallerConnects(t *testing.T) {
	const pass = "sixteen letters!"
	for _, c := range []struct {
		why string
		tx  CallerConfig
		rx  Config
		err error
	}{
		{"clear", CallerConfig{StreamID: "publish:live/x"}, Config{}, nil},
		{"no stream id", CallerConfig{}, Config{}, nil},
		{"AES-128-CTR", CallerConfig{Passphrase: pass}, Config{Passphrase: pass}, nil},
		{"AES-192-CTR", CallerConfig{Passphrase: pass, KeyLen: 24}, Config{Passphrase: pass}, nil},
		{"AES-256-GCM", CallerConfig{Passphrase: pass, KeyLen: 32, GCM: true}, Config{Passphrase: pass}, nil},
		{"AES-GCM and parity", CallerConfig{Passphrase: pass, GCM: true, Filter: "fec,cols:5,rows:5"}, Config{Passphrase: pass}, nil},
		{"wrong passphrase", CallerConfig{Passphrase: pass}, Config{Passphrase: "seventeen letters"}, &RefusedError{RejectBadSecret}},
		{"no passphrase", CallerConfig{}, Config{Passphrase: pass}, &RefusedError{RejectUnsecure}},
		{"passphrase too much", CallerConfig{Passphrase: pass}, Config{}, &RefusedError{RejectUnsecure}},
	} {
		r := newCall(t, sim.New(1), both(lossy(20*time.Millisecond, 0.1)), c.tx, c.rx)
		r.stream(2 * time.Second)
		if c.err != nil {
			got, ok := errors.AsType[*RefusedError](r.tx.Err())
			if !ok || got.Code != c.err.(*RefusedError).Code {
				t.Errorf("%s: got %v, want %v", c.why, r.tx.Err(), c.err)
			}
			continue
		}
		if m := r.missing(t); m > 0.005 || len(r.sent) < 700 || r.rx.conn.StreamID() != c.tx.StreamID {
			t.Errorf("%s: %.4f of %d missing, %v, %+v", c.why, m, len(r.sent), r.tx.Err(), r.tx.Stats())
		}
	}
}

// still is a caller on a host that stands still for a while: it takes payloads, and nothing leaves.
type still struct {
	*Caller
	from, to time.Time
}

func (s *still) halted(now time.Time) bool { return now.After(s.from) && now.Before(s.to) }

func (s *still) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	if s.halted(now) {
		return dst, false
	}
	return s.Caller.AppendDatagram(dst, now)
}

func (s *still) NextTimeout() time.Time {
	if next := s.Caller.NextTimeout(); !s.halted(next) {
		return next
	}
	return s.to
}

// What a host that stood still for longer than the latency sends late comes out whole.
func TestLateIsBetterThanNever(t *testing.T) {
	w := sim.New(1)
	cfg := CallerConfig{Latency: 120 * time.Millisecond}
	cfg.Secret[0] = 1
	tx, err := NewCaller(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &call{w: w, tx: tx, rx: newServer(Config{})}
	r.link = w.Connect(both(delayed(20*time.Millisecond)), &still{tx, sim.Epoch.Add(2 * time.Second), sim.Epoch.Add(2500 * time.Millisecond)}, r.rx)
	r.stream(4 * time.Second)
	if m := r.missing(t); m > 0 || tx.Stats().Unsent > 0 {
		t.Errorf("missing %v, %+v", m, tx.Stats())
	}
}

// Nobody there, and nobody there any more.
func TestCallerGivesUp(t *testing.T) {
	w := sim.New(1)
	r := newCall(t, w, both(lossy(0, 1)), CallerConfig{}, Config{})
	w.Run(2900 * time.Millisecond)
	if r.tx.Err() != nil {
		t.Error("gave up early")
	}
	w.Run(200 * time.Millisecond)
	if !errors.Is(r.tx.Err(), ErrNobody) {
		t.Errorf("got %v, want %v", r.tx.Err(), ErrNobody)
	}
	for _, c := range []struct {
		why  string
		end  func(*call)
		want error
	}{
		{"hung up", func(r *call) { r.rx.conn.Close(); r.link.B.Wake() }, ErrHungUp},
		{"closed", func(r *call) { r.tx.Close(); r.link.A.Wake() }, ErrClosed},
		{"silence", func(r *call) { r.link.A.SetClock(-time.Hour, 0); r.tx.id++; r.tx.them++ }, ErrQuiet},
	} {
		w := sim.New(1)
		r := newCall(t, w, both(delayed(10*time.Millisecond)), CallerConfig{}, Config{})
		r.stream(200 * time.Millisecond)
		if !r.tx.Connected() || r.tx.Err() != nil {
			t.Fatalf("%s: not connected: %v", c.why, r.tx.Err())
		}
		if c.want == ErrQuiet {
			r.tx.id++
			w.Run(6 * time.Second)
		} else {
			c.end(r)
			w.Run(100 * time.Millisecond)
		}
		if !errors.Is(r.tx.Err(), c.want) {
			t.Errorf("%s: got %v, want %v", c.why, r.tx.Err(), c.want)
		}
		if c.want == ErrClosed && !errors.Is(r.rx.err, ErrShutdown) {
			t.Errorf("the listener heard %v", r.rx.err)
		}
	}
}

// Loss, round trip, latency: what is missing, and at what cost. The model of libsrt's caller in caller_test.go is the measure.
func TestCallerRecovery(t *testing.T) {
	for _, c := range []struct {
		loss    float64
		rtt     time.Duration
		latency time.Duration
	}{
		{0.01, 20, 120}, {0.05, 20, 120}, {0.10, 50, 120}, {0.05, 100, 120}, {0.10, 100, 250}, {0.20, 100, 500}, {0.05, 200, 250}, {0.10, 300, 500}, {0.20, 50, 250},
	} {
		c.rtt *= time.Millisecond
		c.latency *= time.Millisecond
		path := sim.Path{Up: lossy(c.rtt/2, c.loss), Down: lossy(c.rtt/2, c.loss/4)}
		var ours, model, n float64
		var cost, modelCost float64
		simtest.ForSeeds(t, seeds, func(t *testing.T, w *sim.World) {
			if testing.Short() && w.Seed() > 0 || w.Seed() > 2 {
				return
			}
			r := newCall(t, w, path, CallerConfig{Latency: c.latency}, Config{Latency: c.latency})
			r.stream(length())
			ours += r.missing(t)
			s := r.tx.Stats()
			cost += float64(s.Resent) / float64(s.Sent)
			w2 := sim.New(w.Seed())
			m := newRun(w2, path, newCaller(7, 1000, "k", c.latency), Config{Latency: c.latency})
			m.stream(length())
			w2.Run(time.Second)
			model += m.missing(t)
			modelCost += float64(m.tx.resends) / float64(m.tx.first)
			n++
		})
		t.Logf("loss %v, RTT %v, latency %v: missing %.4f %% for %.1f %% resends, model of libsrt %.4f %% for %.1f %%",
			c.loss, c.rtt, c.latency, 100*ours/n, 100*cost/n, 100*model/n, 100*modelCost/n)
		spare := 0.0005 * n
		if testing.Short() {
			spare = 0.002 // three packets: too few to tell
		}
		if ours > model+spare {
			t.Errorf("loss %v, RTT %v, latency %v: missing %.4f %%, the model %.4f %%", c.loss, c.rtt, c.latency, 100*ours/n, 100*model/n)
		}
	}
}
