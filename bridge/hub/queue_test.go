package hub

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

var outputLag = Lag{Thin: time.Second, Skip: 2 * time.Second, Fresh: time.Second}

// A reader that stops for a while: how old is what it gets first, where does it go on, what is lost and by which class.
func TestStalledReaderGetsWhatIsFresh(t *testing.T) {
	for _, c := range []struct {
		why   string
		pause time.Duration
		drops bool
	}{
		{"0.9 s: nothing is lost", 900 * time.Millisecond, false},
		{"1.6 s: what nothing refers to", 1600 * time.Millisecond, false},
		{"2.5 s", 2500 * time.Millisecond, true},
		{"3.3 s", 3300 * time.Millisecond, true},
		{"4.9 s", 4900 * time.Millisecond, true},
		{"30.1 s", 30100 * time.Millisecond, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := New(Config{})
			defer h.Close()
			p, _ := h.Publish("live/a", PublisherInfo{})
			src := &source{size: 20_000}
			step := func() {
				for _, f := range src.frames() {
					if f.Codec.IsVideo() {
						// A key frame every two seconds; every other picture is referred to by none.
						if f.Flags = 0; (src.n-1)%50 == 0 {
							f.Flags = media.Key
						} else if src.n%2 == 0 {
							f.Flags = media.Droppable
						}
					}
					if err := p.WriteFrame(f); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(frameTime)
			}
			for range 60 {
				step()
			}
			sub, _ := h.Subscribe("live/a", SubscriberInfo{Lag: outputLag})
			before := readAll(t, sub)
			for range c.pause / frameTime {
				step()
				if st := sub.Stats(); st.Age > 2100*time.Millisecond {
					t.Fatalf("%s: what waits is %v old", c.why, st.Age)
				}
			}
			var got []*media.Frame
			read := func() {
				for _, f := range readAll(t, sub) {
					newest := h.Streams()[0].Time
					if age := newest - f.DTS; c.drops && age > outputLag.Fresh+frameTime {
						t.Errorf("%s: %v is %v old", c.why, f.Codec, age)
					}
					got = append(got, f)
				}
			}
			resumed := time.Now()
			read()
			var back time.Duration
			for range 60 {
				if back == 0 && len(got) > 0 && got[len(got)-1].Codec.IsVideo() {
					back = time.Since(resumed)
				}
				step()
				read()
			}
			st := sub.Stats()
			last := before[len(before)-1].DTS
			var pictures []*media.Frame
			for _, f := range got {
				if f.Codec.IsVideo() {
					pictures = append(pictures, f)
				}
			}
			if c.drops {
				if !pictures[0].IsKeyVideo() {
					t.Errorf("%s: goes on with %+v, want a key frame", c.why, pictures[0])
				}
				if back > 2*time.Second {
					t.Errorf("%s: no picture for %v", c.why, back)
				}
				if st.Counts.Gaps != 1 {
					t.Errorf("%s: %d gaps, want 1", c.why, st.Counts.Gaps)
				}
			}
			for i := 1; i < len(pictures); i++ { // what is missing inside is what nothing refers to
				if d := pictures[i].DTS - pictures[i-1].DTS; d > 2*frameTime && !pictures[i].IsKeyVideo() {
					t.Errorf("%s: picture %d comes %v after the one before and is no key frame", c.why, i, d)
				}
			}
			if !c.drops && (st.Counts.Dropped != st.Counts.Thinned || got[0].DTS > last+frameTime || c.pause > time.Second && st.Counts.Thinned == 0) {
				t.Errorf("%s: %+v", c.why, st.Counts)
			}
			if n := uint64(st.Queued); st.Counts.Offered != st.Counts.Delivered+st.Counts.Dropped+n {
				t.Errorf("%s: %+v and %d queued", c.why, st.Counts, n)
			}
		})
	}
}

// Two seconds of media that come at once, as after an outage of the uplink, are late, not stale: nothing is dropped.
func TestBurstOfThePublisherIsNoLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{})
		defer h.Close()
		p, _ := h.Publish("live/a", PublisherInfo{})
		src := &source{}
		src.write(t, p, 30)
		sub, _ := h.Subscribe("live/a", SubscriberInfo{Lag: outputLag})
		readAll(t, sub)
		for range 100 {
			for _, f := range src.frames() {
				_ = p.WriteFrame(f)
			}
		}
		if got := readAll(t, sub); len(got) != 200 {
			t.Errorf("%d frames of 200: %+v", len(got), sub.Stats().Counts)
		}
	})
}

func TestSoundAloneStaysFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{})
		defer h.Close()
		p, _ := h.Publish("live/a", PublisherInfo{})
		write := func(n *int, count int) {
			for range count {
				dts := time.Duration(*n) * frameTime
				_ = p.WriteFrame(&media.Frame{Track: 1, Codec: media.AAC, Flags: media.Key, DTS: dts, PTS: dts, Config: audioConfig, Payload: []byte{1}})
				*n++
				time.Sleep(frameTime)
			}
		}
		n := 0
		write(&n, 30)
		sub, _ := h.Subscribe("live/a", SubscriberInfo{Lag: outputLag})
		write(&n, 300)
		got := readAll(t, sub)
		if len(got) == 0 || h.Streams()[0].Time-got[0].DTS > outputLag.Fresh+frameTime {
			t.Fatalf("%d frames, the first from %v at %v", len(got), got[0].DTS, h.Streams()[0].Time)
		}
	})
}

// One subscriber goes on where another ends: every frame goes to one of the two, and the second begins with a key frame.
func TestSuccessorBeginsWhereTheOtherEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{})
		defer h.Close()
		p, _ := h.Publish("live/a", PublisherInfo{})
		src := &source{}
		src.write(t, p, 30)
		old, _ := h.Subscribe("live/a", SubscriberInfo{})
		gone, _ := h.Subscribe("live/a", SubscriberInfo{})
		src.write(t, p, 3)
		next, _ := h.Subscribe("live/a", SubscriberInfo{Succeed: old})
		late, _ := h.Subscribe("live/a", SubscriberInfo{Succeed: gone})
		late.Close() // a successor that is gone before it began takes nothing
		src.write(t, p, 40)
		a, b := readAll(t, old), readAll(t, next)
		if _, err := old.Read(t.Context()); !errors.Is(err, ErrSucceeded) {
			t.Errorf("the old one reads %v", err)
		}
		if len(b) == 0 || !b[0].IsKeyVideo() {
			t.Fatalf("the new one begins with %v", b)
		}
		all := append(a, b...)
		for i := 2; i < len(all); i++ {
			if all[i].DTS-all[i-2].DTS != frameTime {
				t.Errorf("frame %d is %v after the one before it", i, all[i].DTS-all[i-2].DTS)
			}
		}
		if st := next.Stats().Counts; st.Dropped != 0 {
			t.Errorf("%+v", st)
		}
		if n := len(readAll(t, gone)); n < 80 {
			t.Errorf("whose successor is gone reads %d frames", n)
		}
	})
}

func TestSeatKeepsTheStreamAndGetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{Hold: 3 * time.Second})
		defer h.Close()
		p, _ := h.Publish("live/a", PublisherInfo{})
		src := &source{}
		src.write(t, p, 30)
		seat, _ := h.Subscribe("live/a", SubscriberInfo{Seat: true})
		src.write(t, p, 30)
		if n := len(readAll(t, seat)); n != 0 || len(h.Streams()[0].Subscribers) != 0 {
			t.Errorf("%d frames for a seat", n)
		}
		p.Close(nil)
		time.Sleep(2 * time.Second)
		if len(h.Streams()) != 1 {
			t.Error("the stream did not wait")
		}
		if _, err := seat.Read(t.Context()); err != io.EOF {
			t.Errorf("the seat reads %v", err)
		}
	})
}

// A frame on its way through the hub and the queues costs no memory.
func TestFramesCostNoAllocation(t *testing.T) {
	h := New(Config{})
	defer h.Close()
	p, _ := h.Publish("live/a", PublisherInfo{})
	src := &source{}
	var subs []*Subscriber
	for range 4 {
		s, _ := h.Subscribe("live/a", SubscriberInfo{Wait: true, Lag: outputLag})
		subs = append(subs, s)
	}
	var frames []*media.Frame
	for range 3000 {
		frames = append(frames, src.frames()...)
	}
	i := 0
	step := func() {
		if err := p.WriteFrame(frames[i]); err != nil {
			t.Fatal(err)
		}
		i++
		for _, s := range subs {
			for {
				if f, _, _ := s.pop(0); f == nil {
					break
				}
			}
		}
	}
	for range 500 {
		step()
	}
	if n := testing.AllocsPerRun(5000, step); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}
