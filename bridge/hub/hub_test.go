package hub

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

var (
	videoConfig = &media.Config{Codec: media.H264}
	audioConfig = &media.Config{Codec: media.AAC}
)

const frameTime = 40 * time.Millisecond

// source makes 25 pictures a second, a key frame each second, and one audio unit beside each picture.
type source struct {
	n     int
	start time.Duration
	size  int
}

func (s *source) frames() []*media.Frame {
	dts := s.start + time.Duration(s.n)*frameTime
	v := &media.Frame{Codec: media.H264, DTS: dts, PTS: dts, Config: videoConfig, Payload: make([]byte, max(1, s.size))}
	if s.n%25 == 0 {
		v.Flags = media.Key
	}
	s.n++
	return []*media.Frame{v, {Track: 1, Codec: media.AAC, Flags: media.Key, DTS: dts, PTS: dts, Config: audioConfig, Payload: []byte{1}}}
}

func (s *source) write(t *testing.T, p *Publisher, pictures int) {
	t.Helper()
	for range pictures {
		for _, f := range s.frames() {
			if err := p.WriteFrame(f); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(frameTime)
	}
}

func readAll(t *testing.T, s *Subscriber) []*media.Frame {
	t.Helper()
	var out []*media.Frame
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for {
		f, err := s.Read(ctx)
		if err != nil {
			return out
		}
		out = append(out, f)
	}
}

func TestJoinerGetsNewestKeyFrameAndAllTracks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{})
		defer h.Close()
		if _, err := h.Subscribe("live/a", SubscriberInfo{}); !errors.Is(err, ErrNoStream) {
			t.Errorf("got %v, want ErrNoStream", err)
		}
		p, err := h.Publish("live/a", PublisherInfo{})
		if err != nil {
			t.Fatal(err)
		}
		src := &source{start: time.Hour}
		src.write(t, p, 60)
		sub, err := h.Subscribe("live/a", SubscriberInfo{})
		if err != nil {
			t.Fatal(err)
		}
		got := readAll(t, sub)
		if len(got) != 20 || !got[0].IsKeyVideo() || len(sub.Tracks()) != 2 {
			t.Errorf("%d frames, first %+v, %d tracks; want the 10 pictures since the key frame with their audio", len(got), got[0], len(sub.Tracks()))
		}
		if want := origin + 50*frameTime; got[0].DTS != want {
			t.Errorf("DTS = %v, want %v", got[0].DTS, want)
		}
	})
}

func TestSlowSubscriberLosesWholeGOPsAndDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{QueueTime: 2 * time.Second})
		defer h.Close()
		p, _ := h.Publish("live/a", PublisherInfo{})
		src := &source{}
		src.write(t, p, 1)
		slow, _ := h.Subscribe("live/a", SubscriberInfo{})
		fast, _ := h.Subscribe("live/a", SubscriberInfo{})
		var fastGot []*media.Frame
		for range 240 {
			src.write(t, p, 1)
			fastGot = append(fastGot, readAll(t, fast)...)
		}
		if st := fast.Stats().Counts; st.Dropped != 0 || len(fastGot) < 480 {
			t.Errorf("the fast one got %d frames and lost %d", len(fastGot), st.Dropped)
		}
		got := readAll(t, slow)
		st := slow.Stats()
		if st.Counts.Gaps == 0 || st.Counts.Offered != st.Counts.Delivered+st.Counts.Dropped {
			t.Errorf("counts %+v", st.Counts)
		}
		if !got[0].IsKeyVideo() {
			t.Error("does not resume at a key frame")
		}
		if age := fastGot[len(fastGot)-1].DTS - got[0].DTS; age > 2*time.Second+frameTime {
			t.Errorf("resumed %v behind", age)
		}
	})
}

func TestTimelineContinuesOverPublishers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{})
		defer h.Close()
		p, _ := h.Publish("live/a", PublisherInfo{})
		src := &source{start: 100 * time.Hour}
		src.write(t, p, 30)
		sub, _ := h.Subscribe("live/a", SubscriberInfo{})
		first := readAll(t, sub)
		if _, err := h.Publish("live/a", PublisherInfo{}); !errors.Is(err, ErrInUse) {
			t.Errorf("a second publisher: %v, want ErrInUse", err)
		}
		p.Close(nil)
		time.Sleep(5 * time.Second)
		for _, f := range readAll(t, sub) {
			if !f.Flags.Has(media.Held) {
				t.Errorf("a frame of nobody's: %+v", f)
			}
		}
		p2, err := h.Publish("live/a", PublisherInfo{})
		if err != nil {
			t.Fatal(err)
		}
		(&source{start: 7 * time.Second}).write(t, p2, 30)
		second := readAll(t, sub)
		last := first[len(first)-1].DTS
		gap := second[0].DTS - last
		if gap < 5*time.Second || gap > 5*time.Second+3*frameTime {
			t.Errorf("the gap of 5 s became %v", gap)
		}
		if err := p.WriteFrame(first[0]); !errors.Is(err, ErrClosed) {
			t.Errorf("the old publisher's write: %v", err)
		}
		p2.Close(nil)
		time.Sleep(21 * time.Second)
		err = nil
		for err == nil {
			_, err = sub.Read(t.Context())
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("after the hold: %v, want EOF", err)
		}
		if n := len(h.Streams()); n != 0 {
			t.Errorf("%d streams left", n)
		}
	})
}

func TestSilentPublisherGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{})
		defer h.Close()
		old, _ := h.Publish("live/a", PublisherInfo{})
		time.Sleep(3 * time.Second)
		if _, err := h.Publish("live/a", PublisherInfo{}); err != nil {
			t.Fatal(err)
		}
		<-old.Done()
		if !errors.Is(old.Err(), ErrReplaced) {
			t.Errorf("got %v", old.Err())
		}
	})
}

func TestJumpsOfTheSourceDoNotReachTheEgress(t *testing.T) {
	for _, jump := range []time.Duration{-time.Hour, time.Hour, -700 * time.Millisecond} {
		var tl timeline
		now := time.Unix(0, 0)
		var last [2]time.Duration
		put := func(track uint8, dts time.Duration) {
			f := &media.Frame{Track: track, DTS: dts, PTS: dts, Arrival: now}
			tl.stamp(f, now.Sub(time.Unix(0, 0)))
			if d := f.DTS - last[track]; last[track] != 0 && (d < 0 || d > 200*time.Millisecond) {
				t.Errorf("jump %v: track %d went from %v to %v", jump, track, last[track], f.DTS)
			}
			last[track] = f.DTS
		}
		base := 2 * time.Hour
		for i := range 200 {
			now = now.Add(frameTime)
			at := base + time.Duration(i)*frameTime
			video, audio := at, at-100*time.Millisecond
			if i >= 100 {
				video += jump
			}
			if i >= 103 { // the other track follows a little later
				audio += jump
			}
			put(0, video)
			put(1, audio)
		}
		if d := last[0] - last[1]; d < 50*time.Millisecond || d > 300*time.Millisecond {
			t.Errorf("jump %v: A/V offset became %v", jump, d)
		}
	}
}

func TestGapOfTheSourceStaysAGap(t *testing.T) {
	var tl timeline
	now := time.Unix(0, 0)
	a := &media.Frame{Arrival: now}
	tl.stamp(a, 0)
	b := &media.Frame{DTS: 30 * time.Second, Arrival: now.Add(30 * time.Second)}
	tl.stamp(b, 30*time.Second)
	if b.DTS-a.DTS != 30*time.Second {
		t.Errorf("got %v", b.DTS-a.DTS)
	}
}

func TestTinyFramesAreBounded(t *testing.T) {
	h := New(Config{GOPBytes: 10_000})
	defer h.Close()
	p, _ := h.Publish("live/a", PublisherInfo{})
	for range 1000 {
		_ = p.WriteFrame(&media.Frame{Codec: media.H264, Config: videoConfig, Payload: []byte{1}})
	}
	if st := h.Streams()[0]; st.GOPBytes > 10_000 || st.GOPFrames > 40 {
		t.Errorf("cache holds %d frames, %d bytes", st.GOPFrames, st.GOPBytes)
	}
}

func TestSoundThatCameBeforeTheFirstKeyFrameIsKept(t *testing.T) {
	h := New(Config{})
	defer h.Close()
	p, _ := h.Publish("live/a", PublisherInfo{})
	sub, _ := h.Subscribe("live/a", SubscriberInfo{})
	for _, f := range []*media.Frame{
		{Track: 1, Codec: media.AAC, Flags: media.Key, DTS: -400 * time.Millisecond, Config: audioConfig, Payload: []byte{1}},
		{Track: 1, Codec: media.AAC, Flags: media.Key, DTS: -20 * time.Millisecond, Config: audioConfig, Payload: []byte{2}},
		{Codec: media.H264, DTS: -10 * time.Millisecond, Config: videoConfig, Payload: []byte{3}},
		{Codec: media.H264, Flags: media.Key, Config: videoConfig, Payload: []byte{4}},
		{Track: 1, Codec: media.AAC, Flags: media.Key, Config: audioConfig, Payload: []byte{5}},
	} {
		_ = p.WriteFrame(f)
	}
	var got []byte
	for _, f := range readAll(t, sub) {
		got = append(got, f.Payload...)
	}
	if string(got) != "\x04\x02\x05" {
		t.Errorf("got %v: want the key frame, the sound that belongs to it, and what follows", got)
	}
}

// A viewer's side of a publisher that is gone for 15 s: something every second, time that goes on, and at its return a key frame at
// once, with sound and picture where they were against each other.
func TestHeldStreamStaysAliveAndContinues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		aac, err := media.NewAACConfig([]byte{0x11, 0x90})
		if err != nil {
			t.Fatal(err)
		}
		h := New(Config{})
		defer h.Close()
		write := func(p *Publisher, src *source, pictures int) {
			for range pictures {
				for _, f := range src.frames() {
					if f.Codec.IsAudio() {
						f.Config = aac
					}
					if err := p.WriteFrame(f); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(frameTime)
			}
		}
		p, _ := h.Publish("live/a", PublisherInfo{})
		write(p, &source{start: time.Hour}, 60)
		sub, _ := h.Subscribe("live/a", SubscriberInfo{})
		began := time.Now()
		var got []*media.Frame
		got = append(got, readAll(t, sub)...)
		p.Close(nil)
		for range 150 {
			time.Sleep(100 * time.Millisecond)
			got = append(got, readAll(t, sub)...)
		}
		held := len(got)
		p2, err := h.Publish("live/a", PublisherInfo{})
		if err != nil {
			t.Fatal(err)
		}
		write(p2, &source{start: 5 * time.Minute, n: 10}, 40) // it begins in the midst of a GOP
		got = append(got, readAll(t, sub)...)
		var last [2]time.Duration
		pictures := 0
		for i, f := range got {
			if d := f.DTS - last[f.Track]; last[f.Track] > 0 && (d < 0 || d > fillAfter+2*frameTime && i > 0) {
				t.Errorf("frame %d: track %d went from %v to %v", i, f.Track, last[f.Track], f.DTS)
			}
			last[f.Track] = f.DTS
			if f.Flags.Has(media.Held) && f.Codec.IsVideo() {
				pictures++
			}
		}
		if pictures < 12 || pictures > 14 {
			t.Errorf("the held picture was shown %d times in 13 s", pictures)
		}
		for held < len(got) && got[held].Flags.Has(media.Held) { // until its first key frame
			held++
		}
		if f := got[held]; !f.IsKeyVideo() {
			t.Errorf("comes back with %+v, want a key frame", f)
		}
		if d := last[0] - last[1]; d != 0 {
			t.Errorf("sound and picture are %v apart", d)
		}
		if d := last[0] - got[0].DTS - time.Since(began); d.Abs() > 500*time.Millisecond {
			t.Errorf("the timeline is %v off the wall clock", d)
		}
		if c := h.Streams()[0].Counts; c.Held == 0 || c.Skipped == 0 {
			t.Errorf("counts %+v", c)
		}
	})
}

// A publisher that is only late (its connection lives) costs silence, no picture: what it sends next still decodes.
func TestLatePublisherIsFilledWithSilenceAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		aac, err := media.NewAACConfig([]byte{0x11, 0x90})
		if err != nil {
			t.Fatal(err)
		}
		h := New(Config{})
		defer h.Close()
		p, _ := h.Publish("live/a", PublisherInfo{})
		src := &source{}
		var got []*media.Frame
		sub, _ := h.Subscribe("live/a", SubscriberInfo{})
		write := func(pictures int) {
			for range pictures {
				for _, f := range src.frames() {
					if f.Codec.IsAudio() {
						f.Config = aac
					}
					if err := p.WriteFrame(f); err != nil {
						t.Fatal(err)
					}
				}
				got = append(got, readAll(t, sub)...)
				time.Sleep(frameTime)
			}
		}
		write(10)
		for range 40 {
			time.Sleep(100 * time.Millisecond)
			got = append(got, readAll(t, sub)...)
		}
		write(10) // what was stuck, and not at a key frame
		var last [2]time.Duration
		count := map[string]int{}
		for _, f := range got {
			if f.DTS < last[f.Track] {
				t.Errorf("track %d went from %v to %v", f.Track, last[f.Track], f.DTS)
			}
			last[f.Track] = f.DTS
			if f.Flags.Has(media.Held) {
				count["held "+f.Codec.String()]++
			} else {
				count[f.Codec.String()]++
			}
		}
		if count["held H264"] != 0 || count["held AAC"] < 80 || count["H264"] != 20 || count["AAC"] != 20 {
			t.Errorf("got %v", count)
		}
		if d := last[0] - last[1]; d != 0 {
			t.Errorf("sound and picture are %v apart", d)
		}
	})
}
