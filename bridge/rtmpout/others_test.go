package rtmpout

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// Servers that are tested where their programs are on PATH. Their columns stay as they were elsewhere.

// background starts a program that serves addr, and says whether it is there at all.
func background(t *testing.T, program, addr, conf, text string, args ...string) bool {
	path, err := exec.LookPath(program)
	if err != nil {
		t.Logf("%s is not on PATH", program)
		return false
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(conf + ".log")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, filepath.Dir(conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); _ = out.Close() })
	waitFor(t, program+" listening", func() bool {
		c, err := net.Dial("tcp", addr)
		return err == nil && c.Close() == nil
	})
	return true
}

// srsPeer records as FLV, in the times that come.
func srsPeer(t *testing.T) (peer, bool) {
	dir, addr := t.TempDir(), freePort(t)
	conf := filepath.Join(dir, "srs.conf")
	_, port, _ := net.SplitHostPort(addr)
	ok := background(t, "srs", addr, conf, fmt.Sprintf(`listen %s; max_connections 200; daemon off; srs_log_tank console; pid %s/srs.pid;
vhost __defaultVhost__ { dvr { enabled on; dvr_path %s/[app]/[stream].flv; dvr_plan session; time_jitter off; } }
`, port, dir, dir), "-c", conf)
	return peer{name: "srs", open: func(t *testing.T, key string) (string, func([]*media.Frame) ([]*media.Frame, error)) {
		return "rtmp://" + addr + "/live/" + key, func(want []*media.Frame) ([]*media.Frame, error) {
			path := filepath.Join(dir, "live", key+".flv")
			if eventually(func() bool { return whole(path, want) }) != nil {
				said, _ := os.ReadFile(conf + ".log")
				return nil, fmt.Errorf("the recording does not end with the last frame: %s", said[max(0, len(said)-1500):])
			}
			got, _ := upTo(framesOf(t, path), want)
			return got, nil
		}
	}}, ok
}

// mediamtxPeer records as MP4. Inside it has no decoding times: they are made anew from the order of pictures.
func mediamtxPeer(t *testing.T) (peer, bool) {
	dir, addr := t.TempDir(), freePort(t)
	conf := filepath.Join(dir, "mediamtx.yml")
	ok := background(t, "mediamtx", addr, conf, fmt.Sprintf(`logLevel: info
rtsp: no
hls: no
webrtc: no
srt: no
moq: no
rtmpAddress: %s
writeQueueSize: 16384
paths:
  all_others:
    record: yes
    recordPath: %s/%%path/%%s-%%f
    recordFormat: fmp4
    recordPartDuration: 100ms
`, addr, dir), conf)
	return peer{name: "mediamtx", live: true, shown: true, open: func(t *testing.T, key string) (string, func([]*media.Frame) ([]*media.Frame, error)) {
		return "rtmp://" + addr + "/live/" + key, func(want []*media.Frame) (got []*media.Frame, err error) {
			if eventually(func() bool {
				var all []*media.Frame
				if all, err = framesOfMP4(filepath.Join(dir, "live", key)); err != nil {
					return false
				}
				got = nil
				for kind := range 2 { // decoding times that are worked out say nothing of the order of picture and sound
					if len(ofKind(want, kind)) == 0 {
						continue
					}
					of, ok := upTo(ofKind(all, kind), ofKind(want, kind))
					if got = append(got, of...); !ok {
						return false
					}
				}
				return true
			}) != nil {
				said, _ := os.ReadFile(conf + ".log")
				return nil, fmt.Errorf("the recording does not end with the last frame: %d of %d frames, %v: %s", len(got), len(want), err, said[max(0, len(said)-1000):])
			}
			return got, nil
		}
	}}, ok
}

// framesOfMP4 reads the fragmented MP4 files of a folder, in order of decoding times.
func framesOfMP4(dir string) (out []*media.Frame, err error) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.mp4"))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		i := bytes.Index(b, []byte("moof"))
		if i < 4 {
			continue
		}
		var init fmp4.Init
		head := bytes.Replace(b[:i-4], []byte("udta"), []byte("free"), 1) // a box of its own that a reader may skip
		if err := init.Unmarshal(bytes.NewReader(head)); err != nil {
			return nil, err
		}
		var parts fmp4.Parts
		for end := len(b); ; { // the last one may not be whole
			if err := parts.Unmarshal(b[i-4 : end]); err == nil {
				break
			}
			if end = bytes.LastIndex(b[:end], []byte("moof")) - 4; end < i {
				return out, errors.New("no whole part")
			}
			parts = nil
		}
		for _, part := range parts {
			for _, tr := range part.Tracks {
				k := slices.IndexFunc(init.Tracks, func(it *fmp4.InitTrack) bool { return it.ID == tr.ID })
				at := int64(tr.BaseTime)
				scale := func(n int64) time.Duration {
					rate := int64(init.Tracks[k].TimeScale)
					return time.Duration(n/rate)*time.Second + time.Duration(n%rate)*time.Second/time.Duration(rate)
				}
				for _, s := range tr.Samples {
					f := &media.Frame{DTS: scale(at), PTS: scale(at + int64(s.PTSOffset))}
					at += int64(s.Duration)
					switch init.Tracks[k].Codec.(type) {
					case *codecs.H264:
						f.Codec, f.Payload = media.H264, pictureOf(s.Payload, media.H264)
					case *codecs.H265:
						f.Codec, f.Payload = media.H265, pictureOf(s.Payload, media.H265)
					case *codecs.AV1:
						f.Codec, f.Payload = media.AV1, s.Payload
					case *codecs.MPEG4Audio:
						f.Codec, f.Payload = media.AAC, s.Payload
					case *codecs.MPEG1Audio:
						f.Codec, f.Payload = media.MP3, s.Payload
					case *codecs.Opus:
						f.Codec, f.Payload = media.Opus, s.Payload
					}
					out = append(out, f)
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *media.Frame) int { return int(a.DTS - b.DTS) })
	return out, nil
}

// pictureOf leaves out the parameter sets that are put in front of key frames.
func pictureOf(avcc []byte, codec media.Codec) (out []byte) {
	for len(avcc) > 4 {
		n := int(avcc[0])<<24 | int(avcc[1])<<16 | int(avcc[2])<<8 | int(avcc[3])
		nal := avcc[4:min(4+n, len(avcc))]
		avcc = avcc[4+len(nal):]
		kind, sets := nal[0]&0x1f, []byte{7, 8, 9}
		if codec == media.H265 {
			kind, sets = nal[0]>>1&0x3f, []byte{32, 33, 34, 35}
		}
		if !bytes.Contains(sets, []byte{kind}) {
			out = media.AppendNAL(out, nal)
		}
	}
	return out
}
