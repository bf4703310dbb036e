package quiclink

import (
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
)

// Media beside QUIC is blocked from the start, or from some moment on; an outage of both and an encoder that pauses are neither.
func TestBeside(t *testing.T) {
	zero := time.Unix(1000, 0)
	for _, c := range []struct {
		why   string
		media func(ms int) bool // a report comes
		quic  func(ms int) bool // its statistics do
		sends func(ms int) bool
		from  int // ms: it is found out between these two; 0: it is not
		most  int
	}{
		{"all is well", func(int) bool { return true }, func(int) bool { return true }, func(int) bool { return true }, 0, 0},
		{"blocked from the start", func(int) bool { return false }, func(int) bool { return true }, func(int) bool { return true }, 2000, 2400},
		{"blocked from 5 s on", func(ms int) bool { return ms < 5000 }, func(int) bool { return true }, func(int) bool { return true }, 6000, 7800},
		{"an outage of both, QUIC is heard first", func(ms int) bool { return ms < 5000 || ms > 8600 }, func(ms int) bool { return ms < 5000 || ms > 7900 }, func(int) bool { return true }, 0, 0},
		{"nothing passes any more", func(ms int) bool { return ms < 5000 }, func(ms int) bool { return ms < 5000 }, func(int) bool { return true }, 0, 0},
		{"an encoder pauses", func(ms int) bool { return ms < 5000 || ms > 9150 }, func(int) bool { return true }, func(ms int) bool { return ms < 5000 || ms > 9000 }, 0, 0},
	} {
		var b beside
		var reports, sent uint64
		found := 0
		for ms := 0; ms < 12000 && found == 0; ms += 10 {
			now := zero.Add(time.Duration(ms) * time.Millisecond)
			if c.sends(ms) {
				sent += 4
				if c.media(ms) && ms > 60 {
					reports++
				}
			}
			if ms%1000 == 990 && c.quic(ms) {
				b.answered(now, sent)
			}
			if ms%200 == 0 && b.look(now, zero, reports, sent) {
				found = ms
			}
		}
		if found < c.from || found > c.most {
			t.Errorf("%s: found at %d ms, want %d to %d", c.why, found, c.from, c.most)
		}
	}
}

// A target that stays far below what is written is a way that does not carry the stream, where QUIC holds it; an encoder that follows is carried.
func TestInside(t *testing.T) {
	zero := time.Unix(1000, 0)
	for _, c := range []struct {
		why    string
		inside bool
		rate   float64 // written, bit/s
		target congestion.Bitrate
		want   bool
	}{
		{"room", true, 4e6, 6e6, false},
		{"held up", true, 4e6, 400e3, true},
		{"the encoder follows", true, 420e3, 400e3, false},
		{"beside QUIC", false, 4e6, 400e3, false},
		{"nothing is written", true, 0, 400e3, false},
	} {
		var i inside
		for ms := 0; ms < 5000; ms += 200 {
			i.written += uint64(c.rate / 8 / 5)
			i.look(zero.Add(time.Duration(ms)*time.Millisecond), c.inside, c.target)
		}
		if got := !i.since.IsZero(); got != c.want {
			t.Errorf("%s: starved %v, want %v", c.why, got, c.want)
		}
		i.look(zero.Add(7*time.Second), false, c.target)
		if !i.since.IsZero() {
			t.Errorf("%s: starved though media goes beside QUIC again", c.why)
		}
	}
}
