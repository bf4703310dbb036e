package push

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/transport/srt"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

func TestParseSRT(t *testing.T) {
	for _, c := range []struct {
		url  string
		want srtlink.DialConfig
		err  string // in it
	}{
		{"srt://h:1", srtlink.DialConfig{}, ""},
		// Stream ids as MediaMTX, SRS, SLS and libsrt's access control have them go out as they are written.
		{"srt://h:8890?streamid=publish:mystream:user:pass&pkt_size=1316", srtlink.DialConfig{StreamID: "publish:mystream:user:pass"}, ""},
		{"srt://h:1?mode=caller&streamid=#!::r=live/x,m=publish&latency=250ms", srtlink.DialConfig{StreamID: "#!::r=live/x,m=publish", Latency: 250 * time.Millisecond}, ""},
		{"srt://h:1?streamid=%23!::u=me,r=live/x&transtype=live", srtlink.DialConfig{StreamID: "#!::u=me,r=live/x"}, ""},
		{"srt://h:1?streamid=publish/live/x", srtlink.DialConfig{StreamID: "publish/live/x"}, ""},
		{"srt://h:1?passphrase=sixteen+letters!&pbkeylen=32&cryptomode=gcm", srtlink.DialConfig{Passphrase: "sixteen letters!", KeyLen: 32, GCM: true}, ""},
		{"srt://h:1?packetfilter=fec,cols:10,rows:5,arq:onreq", srtlink.DialConfig{Filter: "fec,cols:10,rows:5,arq:onreq"}, ""},
		{"srt://h:1?maxbw=6M&inputbw=800k&oheadbw=30", srtlink.DialConfig{MaxBW: 6e6, InputBW: 8e5, Overhead: 30}, ""},
		{"srt://h:1?maxbw=0", srtlink.DialConfig{MaxBW: srt.Relative}, ""},
		{"srt://h:1?maxbw=-1", srtlink.DialConfig{}, ""},

		{"srt://h", srtlink.DialConfig{}, "HOST:PORT"},
		{"srt://:1", srtlink.DialConfig{}, "HOST:PORT"},
		{"srt://h:1?latency=300", srtlink.DialConfig{}, "no unit"},
		{"srt://h:1?maxbw=750000", srtlink.DialConfig{}, "bytes in libsrt"},
		{"srt://h:1?mode=listener", srtlink.DialConfig{}, "only caller"},
		{"srt://h:1?lossmaxttl=40", srtlink.DialConfig{}, "is not one of"},
		{"srt://h:1?pbkeylen=17&passphrase=sixteen+letters!", srtlink.DialConfig{}, "16, 24 or 32"},
		{"srt://h:1?passphrase=short", srtlink.DialConfig{}, "10 to 79"},
		{"srt://h:1?packetfilter=fec,cols:1", srtlink.DialConfig{}, "packet filter"},
		{"srt://h:1?oheadbw=3", srtlink.DialConfig{}, "percent"},
	} {
		_, got, err := parseSRT(c.url)
		if c.err == "" && (err != nil || got != c.want) {
			t.Errorf("%s: got %+v, %v", c.url, got, err)
		}
		if c.err != "" && (!errors.Is(err, config.ErrUsage) || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: got %v, want …%s…", c.url, err, c.err)
		}
	}
}

func FuzzParseSRT(f *testing.F) {
	f.Add("srt://h:1?streamid=#!::r=x&maxbw=6M&latency=1s&oheadbw=25")
	f.Add("srt://[::1]:1?packetfilter=fec,cols:5,rows:-4&maxbw=&inputbw=M")
	f.Fuzz(func(t *testing.T, s string) {
		if _, cfg, err := parseSRT(s); err == nil && cfg.Validate() != nil {
			t.Errorf("%q became %+v", s, cfg)
		}
	})
}

// A stream that is late loses pictures up to a key frame that is not, and no sound.
func TestCut(t *testing.T) {
	const lat = 300 * time.Millisecond
	var c cut
	for i, s := range []struct {
		codec   media.Codec
		key     bool
		backlog time.Duration
		want    bool
	}{
		{media.H264, true, 0, true}, {media.H264, false, lat / 3, true}, {media.H264, false, lat, false}, {media.AAC, false, lat, true},
		{media.H264, false, 0, false}, {media.H264, true, lat, false}, {media.H264, false, 0, false}, {media.H264, true, 0, true}, {media.H264, false, 0, true},
	} {
		f := &media.Frame{Codec: s.codec}
		if s.key {
			f.Flags = media.Key
		}
		if got := c.admit(f, s.backlog, lat); got != s.want {
			t.Errorf("step %d: got %v", i, got)
		}
	}
}
