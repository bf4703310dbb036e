package hub

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// pattern is the payload of the frame at dts.
func pattern(dts time.Duration, size int) []byte {
	return bytes.Repeat([]byte{byte(dts/frameTime) + 1}, size)
}

// Frames whose memory is used again reach every reader as they were written: readers that lag and skip, that join with the GOP, that borrow and that
// keep, and those who read through a gap that the hub fills with the last key frame.
func TestMemoryIsUsedAgainOnlyWhenNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{})
		defer h.Close()
		r := rand.New(rand.NewPCG(3, 4))
		arena := NewArena()
		defer arena.Close()
		src := source{}
		// The subscriber's own: pictures carry their number in the source, which the hub's timeline moves by origin.
		check := func(f *media.Frame) {
			if f.Codec.IsAudio() {
				return
			}
			for _, b := range f.Payload {
				if b != f.Payload[0] {
					t.Fatalf("a picture at %v is of two: %d and %d", f.DTS, f.Payload[0], b)
				}
			}
			if want := byte((f.DTS-origin)/frameTime) + 1; !f.Flags.Has(media.Held) && f.Payload[0] != want {
				t.Fatalf("the picture at %v is number %d, want %d", f.DTS, f.Payload[0], want)
			}
		}
		type reader struct {
			sub  *Subscriber
			keep []*media.Frame
		}
		var readers []*reader
		join := func(borrows bool, lag Lag) {
			sub, err := h.Subscribe("live/a", SubscriberInfo{Wait: true, Borrows: borrows, Lag: lag})
			if err != nil {
				t.Fatal(err)
			}
			readers = append(readers, &reader{sub: sub})
		}
		publish := func() *Publisher {
			p, err := h.Publish("live/a", PublisherInfo{})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		p := publish()
		join(true, Lag{})
		join(false, Lag{})
		join(true, Lag{Skip: 500 * time.Millisecond})
		held := 0
		for n := range 1500 {
			if n == 700 { // a publisher is gone for some seconds, and what it had is used by others meanwhile
				p.Close(nil)
				for range 100 {
					time.Sleep(frameTime)
					for range 20 {
						arena.Frame(append(arena.Buffer(5000), bytes.Repeat([]byte{0xff}, 5000)...)).Release()
					}
				}
				p = publish()
				src.n = (src.n/25 + 1) * 25
			}
			for _, f := range src.frames() {
				g := arena.Frame(append(arena.Buffer(20_000), pattern(f.DTS, 100+r.IntN(15_000))...))
				g.Track, g.Codec, g.Flags, g.DTS, g.PTS, g.Config = f.Track, f.Codec, f.Flags, f.DTS, f.PTS, f.Config
				if err := p.WriteFrame(g); err != nil {
					t.Fatal(err)
				}
			}
			for i, rd := range readers {
				if r.IntN(1+i%3*20) > 2 {
					continue // it is slow
				}
				for range 1 + r.IntN(40) {
					f, _, err := rd.sub.TryRead(time.Time{})
					if err != nil {
						t.Fatal(err)
					}
					if f == nil {
						break
					}
					if f.Flags.Has(media.Held) {
						held++
					}
					if n < 700 {
						check(f)
					} else if f.Codec.IsVideo() && !bytes.Equal(f.Payload, bytes.Repeat(f.Payload[:1], len(f.Payload))) {
						t.Fatalf("a picture at %v is of two", f.DTS)
					}
					if !rd.sub.info.Borrows {
						rd.keep = append(rd.keep, f)
					}
				}
			}
			if n%50 == 20 {
				join(n%100 == 20, Lag{})
			}
			if len(readers) > 8 {
				readers[3].sub.Close()
				readers = append(readers[:3], readers[4:]...)
			}
			time.Sleep(frameTime)
		}
		for _, rd := range readers {
			for _, f := range rd.keep {
				if f.Codec.IsVideo() && !bytes.Equal(f.Payload, bytes.Repeat(f.Payload[:1], len(f.Payload))) {
					t.Fatalf("a kept picture at %v is of two", f.DTS)
				}
			}
		}
		if held == 0 {
			t.Error("nobody saw the gap filled")
		}
	})
}
