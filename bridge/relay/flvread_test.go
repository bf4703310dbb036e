package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/media"
)

// readFLV hands every frame of an FLV stream to f until it ends.
func readFLV(r io.Reader, f func(*media.Frame)) error {
	var d flv.Demuxer
	var p flv.Parser
	b := make([]byte, 32<<10)
	for {
		n, err := r.Read(b)
		if err := d.Write(b[:n]); err != nil {
			return err
		}
		for tag, ok := d.Next(); ok; tag, ok = d.Next() {
			if fr := p.Parse(tag.Type, tag.Time, tag.Body); fr != nil {
				f(fr)
			}
		}
		if d.Err() != nil {
			return d.Err()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// watch plays a URL over HTTP-FLV until it ends or ctx does.
func watch(ctx context.Context, url string, f func(*media.Frame)) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	err = readFLV(res.Body, f)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// collector keeps the frames of one player as a stream.
type collector struct{ s stream }

func (c *collector) add(f *media.Frame) {
	if f.Codec.IsAudio() {
		c.s.audio = append(c.s.audio, f.Payload)
		c.s.audioPTS = append(c.s.audioPTS, f.PTS.Seconds())
		return
	}
	for n := range media.NALs(f.Payload) {
		if f.Codec == media.H264 && media.H264NALType(n) <= 5 || f.Codec == media.H265 && media.H265NALType(n) < 32 {
			c.s.video = append(c.s.video, n)
		}
	}
	c.s.videoPTS = append(c.s.videoPTS, f.PTS.Seconds())
	c.s.videoDTS = append(c.s.videoDTS, f.DTS.Seconds())
}

// watchAll collects a player's frames until the stream ends.
func watchAll(t *testing.T, url string, limit time.Duration) stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var c collector
	if err := watch(ctx, url, c.add); err != nil {
		t.Errorf("%s: %v", url, err)
	}
	return c.s
}
