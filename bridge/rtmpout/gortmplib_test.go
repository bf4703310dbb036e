package rtmpout

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/codecs"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// Our push into gortmplib, the first extended timestamp and 2^31 ms crossed, once with Adobe authentication.
func TestPushToGortmplib(t *testing.T) {
	var want []*media.Frame
	for i := range 75 {
		want = append(want, picture(i, 30_000)...)
	}
	for i, start := range starts {
		t.Run(start.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			user, password := "", ""
			url := "rtmp://" + l.Addr().String() + "/live/key"
			if i == 0 {
				user, password = "user", "secret"
				url = "rtmp://user:secret@" + l.Addr().String() + "/live/key"
			}
			type result struct {
				video, audio []*media.Frame
				err          error
			}
			done := make(chan result, 1)
			go func() {
				var r result
				for { // each step of the authentication is a connection
					var c net.Conn
					if c, r.err = l.Accept(); r.err != nil {
						break
					}
					if r.video, r.audio, r.err = receive(c, user, password, len(want)); len(r.video) > 0 {
						break
					}
				}
				done <- r
			}()
			var got result
			pushClip(t, want, url, start.lead, func() { got = <-done })
			_ = l.Close()
			if got.err != nil {
				t.Fatal(got.err)
			}
			compare(t, "video", got.video, ofCodec(want, media.H264))
			compare(t, "audio", got.audio, ofCodec(want, media.AAC))
		})
	}
}

// receive takes n frames of a publish.
func receive(c net.Conn, user, password string, n int) (video, audio []*media.Frame, err error) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	sc := &gortmplib.ServerConn{RW: c}
	if err := sc.Initialize(); err != nil {
		return nil, nil, err
	}
	if user == "" {
		err = sc.AcceptConn()
	} else {
		err = sc.AcceptConnIfCredentialsMatch(user, password)
	}
	if err != nil {
		return nil, nil, err
	}
	if err := sc.AcceptAction(); err != nil {
		return nil, nil, err
	}
	r := &gortmplib.Reader{Conn: sc}
	if err := r.Initialize(); err != nil {
		return nil, nil, err
	}
	for _, tr := range r.Tracks() {
		switch tr.Codec.(type) {
		case *codecs.H264:
			r.OnDataH264(tr, func(pts, dts time.Duration, au [][]byte) {
				if last := au[len(au)-1]; len(last) > 100 {
					video = append(video, &media.Frame{PTS: pts, DTS: dts, Payload: media.AppendNAL(nil, last)})
				}
			})
		case *codecs.MPEG4Audio:
			r.OnDataMPEG4Audio(tr, func(pts time.Duration, au []byte) {
				audio = append(audio, &media.Frame{PTS: pts, DTS: pts, Payload: bytes.Clone(au)})
			})
		}
	}
	for len(video)+len(audio) < n {
		if err := r.Read(); err != nil {
			return video, audio, fmt.Errorf("after %d of %d frames: %w", len(video)+len(audio), n, err)
		}
	}
	return video, audio, nil
}
