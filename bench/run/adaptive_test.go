package run

import (
	"context"
	"strings"
	"testing"
	"time"

	synthetic "github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
)

// The encoder of the bench makes what it is told, 100 ms later, and knows its pictures again; one that was cut on the way is none of them.
func TestFollower(t *testing.T) {
	ts, err := synthetic.TS(90)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClip(ts, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := newFollower(c)
	zero := time.Unix(1000, 0)
	f.tell(zero.Add(time.Second), f.full/2)
	var sizes [2]int
	seq, asked, keys := int64(0), false, 0
	for _, m := range c.media {
		if !m.frame.Codec.IsVideo() {
			continue
		}
		whole, now := 0, zero.Add(m.at)
		if m.at >= 2500*time.Millisecond && !asked {
			asked = true
			f.ask(now.Add(-followAfter))
		}
		out, key := f.picture(now, seq, m.frame)
		if key {
			keys++
			if !out.Flags.Has(media.Key) {
				t.Errorf("picture %d is asked to be a key frame and is none", seq)
			}
		}
		if got := f.find(out); got != seq {
			t.Errorf("picture %d is found as %d", seq, got)
		}
		if m.at >= time.Second+followAfter {
			whole = 1
		} else if len(out.Payload) != len(m.frame.Payload) {
			t.Errorf("picture %d is smaller before the encoder was told", seq)
		}
		if !key {
			sizes[whole] += len(out.Payload) * 100 / len(m.frame.Payload)
		}
		cut := *out
		cut.Payload = append([]byte(nil), out.Payload[:len(out.Payload)-1]...)
		cut.Payload = append(cut.Payload, out.Payload[len(out.Payload)-1]^1)
		if got := f.find(&cut); got >= 0 {
			t.Errorf("a damaged picture %d is found as %d", seq, got)
		}
		seq++
	}
	if after := float64(sizes[1]) / float64(seq-34); f.full > 2*followLeast && (after > 60 || after < 40) {
		t.Errorf("pictures are %.0f %% of their size, want half", after)
	}
	if keys != 1 {
		t.Errorf("%d key frames were made where one was asked for", keys)
	}
	got, want := 0, 0
	demux := mpegts.NewDemuxer(mpegts.Config{EarlyAfter: -1})
	w := writer(func(b []byte) (int, error) { demux.Write(time.Time{}, b); return len(b), nil })
	if _, err := newFollower(c).play(context.Background(), time.Now().Add(-time.Hour), c, w, func(int64) {}); err != nil {
		t.Fatal(err)
	}
	demux.Flush()
	for p, ok := demux.Next(); ok; p, ok = demux.Next() {
		if p.Codec.IsVideo() && c.Find(p) == int64(got) {
			got++
		}
	}
	if want = len(c.Frames); got != want {
		t.Errorf("%d of %d pictures come out of what it plays", got, want)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// A clip of minutes is read whole: the demuxer holds some thousand frames. (The synthetic clip repeats itself, which the error says.)
func TestLongClip(t *testing.T) {
	ts, err := synthetic.TS(6000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = NewClip(ts, 0); err == nil || !strings.Contains(err.Error(), "of 6000 pictures") {
		t.Errorf("%v, want all 6000 pictures looked at", err)
	}
}
