package relay

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

// publishClip pushes the clip over SRT in real time until ctx ends.
func publishClip(ctx context.Context, addr, name string) error {
	return publishPaced(ctx, addr, name, 1)
}

// publishPaced is publishClip by a clock whose second lasts pace seconds.
func publishPaced(ctx context.Context, addr, name string, pace float64) error {
	src, err := clip.New()
	if err != nil {
		return err
	}
	mux, err := src.Muxer()
	if err != nil {
		return err
	}
	conn, err := srtlink.Dial(addr, srtlink.DialConfig{StreamID: "publish:" + name, Latency: 2 * time.Second}) // a loaded machine stands still for some 100 ms
	if err != nil {
		return err
	}
	defer conn.Close()
	begin := time.Now()
	var out []byte
	for {
		f := src.Next()
		select {
		case <-time.After(time.Until(begin.Add(time.Duration(pace * float64(f.DTS))))):
		case <-ctx.Done():
			return nil
		}
		out = mux.AppendFrame(out[:0], f)
		for b := out; len(b) > 0; b = b[min(len(b), 1316):] {
			if _, err := conn.Write(b[:min(len(b), 1316)]); err != nil {
				return err
			}
		}
	}
}

// follower checks that frames are the clip's, one after another, none missing and none twice.
type follower struct {
	index [2]map[string]int
	last  [2]int
	count [2]int
	err   error
}

func newFollower(t *testing.T) *follower {
	t.Helper()
	src, err := clip.New()
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{index: [2]map[string]int{{}, {}}, last: [2]int{-1, -1}}
	var n [2]int
	for range clip.Pictures + clip.AudioFrames {
		fr := src.Next()
		f.index[fr.Track][string(fr.Payload)] = n[fr.Track]
		n[fr.Track]++
	}
	return f
}

func (f *follower) add(fr *media.Frame) {
	if f.err != nil {
		return
	}
	i, ok := f.index[fr.Track][string(fr.Payload)]
	if !ok {
		f.err = fmt.Errorf("track %d: frame %d is none of the clip's", fr.Track, f.count[fr.Track])
		return
	}
	round := len(f.index[fr.Track])
	// Silence makes equal audio frames, so an index can only be asked to be plausible there; pictures are all different.
	if last := f.last[fr.Track]; fr.Track == 0 && last >= 0 && i != (last+1)%round {
		f.err = fmt.Errorf("picture %d after picture %d", i, last)
	}
	f.last[fr.Track] = i
	f.count[fr.Track]++
}

func (f *follower) check(t *testing.T, who string, pictures int) {
	t.Helper()
	if f.err != nil {
		t.Errorf("%s: %v", who, f.err)
	}
	// 46.875 audio frames to 30 pictures; the ends may differ by what was under way.
	audio := f.count[0] * clip.AudioFrames / clip.Pictures
	if f.count[0] < pictures || f.count[1] < audio-12 || f.count[1] > audio+12 {
		t.Errorf("%s: %d pictures (want %d at least) and %d audio frames (want %d)", who, f.count[0], pictures, f.count[1], audio)
	}
}

func TestTenPublishersThirtyPlayersAndTwoDeadOnes(t *testing.T) {
	need.RealTime(t)
	ffmpeg := need.Program(t, "ffmpeg")
	const publishers, pictures = 10, 15 * clip.FrameRate
	blackHole := acceptAndNeverRead(t)
	var keys []string
	for i := range publishers {
		keys = append(keys, fmt.Sprintf("live/cam%d", i))
	}
	r := startRelay(t, config.Relay{Key: keys, Push: []string{"live/cam0=rtmp://" + blackHole + "/live/x"}})
	srt, _, web := r.Addrs()
	ctx, cancel := context.WithTimeout(t.Context(), 6*need.Patience)
	defer cancel()
	var publishing, wg sync.WaitGroup
	for _, k := range keys {
		publishing.Go(func() {
			if err := publishClip(ctx, srt.String(), k); err != nil {
				t.Errorf("%s: %v", k, err)
			}
		})
	}
	for _, k := range keys {
		waitStream(t, r, k)
	}
	dead, err := net.Dial("tcp", web.String()) // plays live/cam0 and never reads
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	_ = dead.(*net.TCPConn).SetReadBuffer(2048)
	fmt.Fprintf(dead, "GET /live/cam0.flv HTTP/1.1\r\nHost: x\r\n\r\n")

	dir := t.TempDir()
	var players []*follower
	for i, k := range keys {
		for range 2 {
			f := newFollower(t)
			players = append(players, f)
			wg.Go(func() {
				playing, enough := context.WithCancel(ctx)
				defer enough()
				if err := watch(playing, r.FLVURL(k), func(fr *media.Frame) {
					if f.add(fr); f.count[0] >= pictures {
						enough()
					}
				}); err != nil {
					t.Errorf("%s: %v", k, err)
				}
			})
		}
		cmd := start(t, ffmpeg, "-v", "error", "-i", r.rtmpURL(k), "-t", "15", "-c", "copy", "-f", "flv", filepath.Join(dir, fmt.Sprintf("%d.flv", i)))
		wg.Go(func() { _ = cmd.Wait() })
	}
	wg.Wait()
	cancel()
	publishing.Wait()
	for i, f := range players {
		f.check(t, fmt.Sprintf("http-flv player %d", i), pictures)
	}
	for i := range keys {
		f := newFollower(t)
		file, err := os.Open(filepath.Join(dir, fmt.Sprintf("%d.flv", i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := readFLV(file, f.add); err != nil {
			t.Errorf("rtmp player %d: %v", i, err)
		}
		_ = file.Close()
		f.check(t, fmt.Sprintf("rtmp player %d", i), pictures-clip.FrameRate)
	}
}

// acceptAndNeverRead is a destination that takes connections and then does nothing.
func acceptAndNeverRead(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		var keep []net.Conn
		defer func() {
			for _, c := range keep {
				_ = c.Close()
			}
		}()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			keep = append(keep, c)
		}
	}()
	return l.Addr().String()
}
