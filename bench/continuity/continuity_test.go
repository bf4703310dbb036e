package continuity

import (
	"context"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
)

func TestStampComesBack(t *testing.T) {
	want := stamp{time.Unix(0, 1234567890123456789), 77, 3 * time.Hour}
	for _, size := range []int{0, 100, 20_000} {
		b := stamped([]byte{0, 0, 0, 1, 0x65}, want, size)
		got, ok := stampOf(b)
		if !ok || !got.at.Equal(want.at) || got.n != want.n || got.dts != want.dts || len(b) < size {
			t.Errorf("%d bytes: %+v, %v in %d", size, got, ok, len(b))
		}
	}
	for _, b := range [][]byte{nil, []byte(marker), []byte(marker + "zz"), []byte("x" + marker + "0123456789abcdef")} {
		if s, ok := stampOf(b); ok {
			t.Errorf("%q is a stamp: %+v", b, s)
		}
	}
}

func TestSkewIsKnownButForRounds(t *testing.T) {
	at := time.Unix(100, 0)
	in := []arrival{
		{at: at, stamped: true, dts: 10 * time.Second, source: 3 * time.Second},
		{at: at, stamped: true, audio: true, dts: 10*time.Second + 30*time.Millisecond, source: 3*time.Second - 0},
		{at: at.Add(time.Hour), stamped: true, dts: 0, source: 0},
	}
	if d, ok := skew(in, at, at); !ok || d != 30*time.Millisecond {
		t.Errorf("%v, %v", d, ok)
	}
	if _, ok := skew(in[2:], at, at.Add(2*time.Hour)); ok {
		t.Error("a skew without sound")
	}
	in[1].dts -= 16*time.Second + 60*time.Millisecond
	if d, _ := skew(in, at, at); d != -30*time.Millisecond {
		t.Errorf("%v", d)
	}
	if n := wentBack([]arrival{{session: 1, dts: 5}, {session: 1, audio: true, dts: 4}, {session: 1, dts: 3}, {session: 2, dts: 0}}); n != 1 {
		t.Errorf("%d frames went back, want 1", n)
	}
}

// The publisher and the tier without a relay between them: what was sent is known by its stamp, a tier that goes away and listens again, and one that
// stops reading, are what they say.
func TestTierNotesWhatArrives(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	tier, err := newTier()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	src, err := newSource(ctx, tier.addr, 1_000_000, clockStep)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { src.kill(); tier.kill() }()
	count := func() int { got, _ := tier.arrivals(); return len(got) }
	if !until(ctx, need.Patience, func() bool { return count() > 30 }) {
		t.Fatal("nothing arrives")
	}
	got, sessions := tier.arrivals()
	pictures, sounds := 0, 0
	for _, a := range got {
		switch {
		case a.stamped && a.audio:
			sounds++
		case a.stamped && a.source >= clockStep && a.age >= 0 && a.age < need.Patience:
			pictures++
		}
	}
	if sessions != 1 || pictures == 0 || sounds == 0 || wentBack(got) != 0 {
		t.Errorf("%d publishes, %d pictures, %d sounds", sessions, pictures, sounds)
	}
	tier.shut()
	need.Until(t, "it reads no more, being shut", func() bool {
		n := count()
		time.Sleep(300 * time.Millisecond) // some twenty frames
		return count() == n
	})
	tier.reopen()
	tier.kill()
	if tier.publishing() {
		t.Error("it is gone and has a publisher")
	}
	if err := tier.listen(); err != nil {
		t.Fatal(err)
	}
	if !until(ctx, need.Patience, tier.publishing) {
		t.Error("nobody comes back")
	}
}
