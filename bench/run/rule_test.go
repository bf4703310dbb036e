package run

import (
	"fmt"
	"slices"
	"testing"
	"time"

	synthetic "github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bench/need"
)

// Lines of srt-live-transmit, in pieces as a pipe gives them, become what belacoder asks libsrt for.
func TestLibsrt(t *testing.T) {
	line := func(rtt float64, bytes, free int) string {
		return fmt.Sprintf(`{"sid":1,"time":32,"window":{"flow":8182,"flight":0},"link":{"rtt":%g,"bandwidth":3.9},"send":{"packets":9,"bytes":%d,"byteAvailBuf":%d,"msBuf":1},"recv":{"byteAvailBuf":1}}`+"\n\n", rtt, bytes, free)
	}
	l := &libsrt{}
	if _, ok := l.sample(time.Second, time.Second); ok {
		t.Error("a sample without a line")
	}
	all := "SRT source connected\n" + line(40.5, 1360, 12286500) + line(52.25, 2720, 12286500-30*srtSlot) + "{"
	for part := range slices.Chunk([]byte(all), 50) {
		if n, err := l.Write(part); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	s, ok := l.sample(20*time.Millisecond, 300*time.Millisecond)
	if !ok || s.RTT != 52250*time.Microsecond || s.Buffered != 30 || s.SendRate != (1360+2720)*8*50 || s.Latency != 300*time.Millisecond {
		t.Errorf("%+v, %v", s, ok)
	}
	if s, _ := l.sample(20*time.Millisecond, time.Second); s.SendRate != 0 || s.Buffered != 30 {
		t.Errorf("nothing was sent since: %+v", s)
	}
	for range 100 { // what is no statistics does not grow
		_, _ = l.Write(make([]byte, 1000))
	}
	if len(l.line) > 17<<10 {
		t.Errorf("%d bytes of a line are kept", len(l.line))
	}
}

// Frames that the socket does not take lower OBS's bitrate, and the pictures with it.
func TestDynamic(t *testing.T) {
	ts, err := synthetic.TS(150)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewClip(ts, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := newFollower(c)
	p := newPublisher(c, f)
	p.obs.rule.Sent(0, 1100*time.Millisecond, int(f.full/8/4)) // a second at a quarter of the rate: the socket is slow
	seq, before := int64(0), f.full
	for _, m := range c.media {
		p.put(m, seq)
		if m.frame.Codec.IsVideo() {
			seq++
		}
	}
	told := f.told[len(f.told)-1].rate
	if len(p.waits) != len(c.media) || told >= before*0.3 || told <= 0 {
		t.Errorf("%d frames wait, and it is told %.0f of %.0f", len(p.waits), told, before)
	}
	for range p.waits {
		<-p.queue
		p.taken()
	}
	if len(p.waits) != 0 {
		t.Error("what was taken still waits")
	}
}

// The schemes whose encoder has a rule of its own carry the clip with the real programs; belacoder's begins at 300 kbit/s.
func TestEncodersOfTheField(t *testing.T) {
	root(t)
	need.Program(t, "srt-live-transmit")
	need.NginxRTMP(t)
	schemes, err := Choose([]string{"rtmp-bbr-obs", "srt-belacoder"})
	if err != nil {
		t.Fatal(err)
	}
	p := plan(t, schemes, "delay 5ms rate 20mbit")
	p.Duration = 3 * time.Second // a busy machine may lose the first key frame; the second one comes after 2 s
	p.Progress = func(p Progress) { t.Log(p.Last.Line()) }
	var rates map[string]float64
	carried := func() bool {
		r, err := p.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rates = map[string]float64{}
		for _, c := range r.Cells {
			if c.Error != "" {
				t.Errorf("%s: %s", c.Scheme, c.Error)
			}
			if c.Score.NeverPercent <= 70 {
				rates[c.Scheme] = c.Score.MediaBps
			}
		}
		return len(rates) == len(schemes)
	}
	for range 4 { // one that stands still for a second costs a cell of three its score
		if carried() || t.Failed() {
			break
		}
	}
	if obs, rule := rates["rtmp-bbr-obs"], rates["srt-belacoder"]; rule == 0 || rule > obs*3/4 {
		t.Errorf("%.0f bit/s at belacoder's first rate, %.0f at the clip's", rule, obs)
	}
	nothingLeft(t)
}
