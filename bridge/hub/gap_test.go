package hub

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// gapCase is a publisher with sound in real units that goes and comes back.
type gapCase struct {
	gap     time.Duration
	audio   *media.Config
	lag     time.Duration // sound is multiplexed this much behind the picture
	uplink  time.Duration // from a frame's arrival to its being shared
	rounded bool          // times in milliseconds, as RTMP has them
	how     string
}

// shown is how long nothing comes before the last key frame is shown again.
func (c gapCase) shown() time.Duration {
	if c.how == "killed" || c.how == "cut" {
		return fillAfter
	}
	return fillShown
}

func (c gapCase) String() string {
	return fmt.Sprintf("%s %v, %v %d Hz %d channels, sound %v behind, uplink %v, rounded %v", c.how, c.gap, c.audio.Codec, c.audio.SampleRate,
		c.audio.Channels, c.lag, c.uplink, c.rounded)
}

// encoder makes pictures at 25 a second with two B-frames' delay, a key frame each second, and sound by the sample.
type encoder struct {
	c              *gapCase
	from           time.Duration // its clock
	pictures, unit int64
}

// until returns what is ready up to a time since it began.
func (e *encoder) until(at time.Duration) (out []*media.Frame) {
	_, samples := media.Silence(e.c.audio)
	round := func(d time.Duration) time.Duration {
		if e.c.rounded {
			return d.Round(time.Millisecond)
		}
		return d
	}
	for {
		video := time.Duration(e.pictures) * frameTime
		audio := time.Duration(e.unit*int64(samples)) * time.Second / time.Duration(e.c.audio.SampleRate)
		switch {
		case video <= at && video <= audio+e.c.lag:
			f := &media.Frame{Codec: media.H264, DTS: round(e.from + video), PTS: round(e.from + video + 2*frameTime), Config: videoConfig, Payload: []byte{1}}
			if e.pictures%25 == 0 {
				f.Flags = media.Key
			}
			e.pictures++
			out = append(out, f)
		case audio+e.c.lag <= at:
			out = append(out, &media.Frame{Track: 1, Codec: e.c.audio.Codec, Flags: media.Key, DTS: round(e.from + audio), PTS: round(e.from + audio),
				Config: e.c.audio, Payload: []byte{2}})
			e.unit++
		default:
			return out
		}
	}
}

// Whatever goes away, for however long: sound goes on unit by unit, times never go back, sound and picture stay where they are against each
// other, and the stream's time stays with the clock.
func TestTimelineOfAGap(t *testing.T) {
	aac := func(asc ...byte) *media.Config {
		c, err := media.NewAACConfig(asc)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	opus, _ := media.NewOpusConfig(2)
	mp3, _ := media.NewMP3Config(44100, 2)
	codecs := []*media.Config{aac(0x11, 0x90), aac(0x12, 0x10), aac(0x13, 0x88), aac(0x11, 0xb0), opus, mp3}
	n := 0
	for _, gap := range []time.Duration{0, 40, 300, 1000, 1990, 2010, 2500, 5000, 8030, 20_000, 60_000} {
		for _, how := range []string{"killed", "cut", "stuck"} {
			for i, audio := range codecs {
				for _, lag := range []time.Duration{0, 120 * time.Millisecond, -60 * time.Millisecond} {
					for _, uplink := range []time.Duration{0, 600 * time.Millisecond} {
						c := gapCase{gap: gap * time.Millisecond, audio: audio, lag: lag, uplink: uplink, rounded: i%2 == 1, how: how}
						if n++; n%5 != 0 || testing.Short() && n%75 != 0 { // 6 combinations a codec: each has its turn
							continue
						}
						synctest.Test(t, func(t *testing.T) { checkGap(t, c) })
					}
				}
			}
		}
	}
}

func checkGap(t *testing.T, c gapCase) {
	const round, before, after = 20 * time.Millisecond, 3 * time.Second, 4 * time.Second
	h := New(Config{Hold: 2 * time.Minute, Idle: time.Hour})
	defer h.Close()
	sub, err := h.Subscribe("live/a", SubscriberInfo{Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Publish("live/a", PublisherInfo{})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var got []*media.Frame
	e := &encoder{c: &c, from: 100 * time.Hour}
	read := func() {
		for f, _, err := sub.TryRead(time.Time{}); f != nil && err == nil; f, _, err = sub.TryRead(time.Time{}) {
			got = append(got, f)
		}
	}
	var cut time.Time
	run := func(length time.Duration, write bool) {
		judged := time.Time{}
		for end := time.Now().Add(length); time.Now().Before(end); {
			if write {
				for _, f := range e.until(time.Since(began)) {
					f.Arrival = time.Now().Add(-c.uplink)
					if err := p.WriteFrame(f); err != nil {
						t.Fatalf("%v: %v", c, err)
					}
					read()
				}
			}
			if c.how == "cut" && !cut.IsZero() && time.Since(judged) >= 500*time.Millisecond { // its connection says how long the link has been silent
				judged = time.Now()
				silent := time.Duration(0)
				if !write {
					silent = c.uplink + time.Since(cut)
				}
				h.Judge(func(string) stutter.Facts { return stutter.Facts{Numbered: true, Silent: silent} })
			}
			synctest.Wait()
			read()
			time.Sleep(min(round, time.Until(end)))
		}
	}
	run(before, true)
	if c.how == "killed" {
		p.Close(nil)
	}
	cut = time.Now()
	run(c.gap, false)
	switch c.how {
	case "killed": // back with another clock
		if p, err = h.Publish("live/a", PublisherInfo{}); err != nil {
			t.Fatal(err)
		}
		e, began = &encoder{c: &c, from: 7 * time.Minute}, time.Now()
	case "cut": // what was sent meanwhile is lost
		_ = e.until(time.Since(began))
	case "stuck": // what was sent meanwhile comes now
	}
	back := time.Now()
	run(after, true)

	_, samples := media.Silence(c.audio)
	unit := time.Duration(samples) * time.Second / time.Duration(c.audio.SampleRate)
	slack := 2 * time.Nanosecond
	if c.rounded {
		slack = 1500 * time.Microsecond // one rounding, and its half beside the silence
	}
	var last [2]*media.Frame
	var first [2]*media.Frame // of who is back
	held := 0
	for i, f := range got {
		if f.Flags.Has(media.Held) {
			held++
		} else if first[f.Track] == nil && !f.Arrival.Before(back.Add(-c.uplink)) {
			first[f.Track] = f
		}
		if l := last[f.Track]; l != nil {
			step := f.DTS - l.DTS
			if f.Track == 1 && (step-unit).Abs() > slack && (c.how == "killed" || step > holeFrom+unit) {
				t.Errorf("%v: frame %d: sound goes from %v to %v, %v instead of %v", c, i, l.DTS, f.DTS, step, unit)
			}
			most := max(fillAfter+heldBehind, fillPicture) + 3*round
			most = max(most, c.shown()+heldBehind+3*round)
			if step < 0 || step > most {
				t.Fatalf("%v: frame %d: picture goes from %v to %v", c, i, l.DTS, f.DTS)
			}
			if f.Track == 0 && f.PTS < f.DTS {
				t.Fatalf("%v: frame %d is shown at %v, before %v", c, i, f.PTS, f.DTS)
			}
		}
		last[f.Track] = f
	}
	if first[0] == nil || first[1] == nil {
		t.Fatalf("%v: it is not back: %d frames", c, len(got))
	}
	if (c.how == "killed" || c.gap > c.shown()+5*round) && !first[0].IsKeyVideo() {
		t.Errorf("%v: comes back with %+v", c, first[0])
	}
	// The encoder's clock against the stream's, for either track, by the last frame of it.
	ms := e.from
	offset := [2]time.Duration{last[0].DTS - ms - time.Duration(e.pictures-1)*frameTime,
		last[1].DTS - ms - time.Duration((e.unit-1)*int64(samples))*time.Second/time.Duration(c.audio.SampleRate)}
	if d := (offset[0] - offset[1]).Abs(); d > slack {
		t.Errorf("%v: sound and picture are %v apart", c, d)
	}
	// What was stuck is all played, so the stream is late by what was put in its place; else it is with the clock.
	wall := last[0].DTS - origin - time.Since(h.zero)
	if late := c.how == "stuck" && c.gap > fillAfter-5*round; !late && (wall < -3*round || wall > unit+3*round) {
		t.Errorf("%v: the stream is %v ahead of the clock", c, wall)
	} else if late && (wall < 0 || wall > c.gap+unit+3*round) {
		t.Errorf("%v: the stream is %v ahead of the clock", c, wall)
	}
	if c.gap > fillAfter && held == 0 {
		t.Errorf("%v: nothing is held", c)
	}
	shown := c.shown()
	if (c.gap - shown).Abs() < 5*round { // either
		return
	}
	if slices.ContainsFunc(got, func(f *media.Frame) bool { return f.Flags.Has(media.Held) && f.Codec.IsVideo() }) != (c.gap > shown) {
		t.Errorf("%v: held pictures", c)
	}
}

// Without sound to go on with the last key frame has to keep a session alive, though the publisher's connection lives: SRS hangs up after 5 s.
func TestSilentPublisherWithoutSoundIsShownAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{})
		defer h.Close()
		p, err := h.Publish("live/a", PublisherInfo{})
		if err != nil {
			t.Fatal(err)
		}
		sub, _ := h.Subscribe("live/a", SubscriberInfo{})
		var got []*media.Frame
		n := 0
		write := func(pictures int) {
			for range pictures {
				f := &media.Frame{Codec: media.H264, DTS: time.Duration(n) * frameTime, PTS: time.Duration(n) * frameTime, Config: videoConfig, Payload: []byte{1}}
				if n%25 == 0 {
					f.Flags = media.Key
				}
				n++
				if err := p.WriteFrame(f); err != nil {
					t.Fatal(err)
				}
				got = append(got, readAll(t, sub)...)
				time.Sleep(frameTime)
			}
		}
		write(60)
		for range 10 * 25 {
			time.Sleep(frameTime)
			got = append(got, readAll(t, sub)...)
			n++
		}
		write(60) // back in the midst of a GOP
		held, first := 0, -1
		for i, f := range got {
			if i > 0 && (f.DTS <= got[i-1].DTS || f.DTS-got[i-1].DTS > fillAlone+200*time.Millisecond) {
				t.Errorf("frame %d goes from %v to %v", i, got[i-1].DTS, f.DTS)
			}
			if f.Flags.Has(media.Held) {
				held++
			} else if held > 0 && first < 0 {
				first = i
			}
		}
		if held < 6 || held > 8 || first < 0 || !got[first].IsKeyVideo() {
			t.Fatalf("%d pictures held, goes on with frame %d", held, first)
		}
		// The encoder's clock went on all the time, and so does the stream's.
		if d := got[first].DTS - got[0].DTS; d%(25*frameTime) != 0 || d != time.Duration(13*25)*frameTime {
			t.Errorf("frame %d is %v after the first", first, d)
		}
	})
}
