package run

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/fairlead-live/fairlead/bench/watch"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// ErrClip is wrapped where a clip cannot be used.
var ErrClip = errors.New("run: unusable clip")

// Clip is the media every scheme is given. It is immutable.
type Clip struct {
	Frames []stutter.Frame // the pictures in decoding order; Capture since the clip's start
	Sound  []time.Duration // capture times of the audio frames
	Bytes  int64           // of media, both tracks

	media  []clipFrame // both tracks in the order of the stream
	pieces []piece
	bySum  map[uint64]int64 // hash of a picture's slices → index in Frames
}

// piece is a run of transport packets that leave the source at one time.
type piece struct {
	at   time.Duration
	data []byte
}

// MakeClip has ffmpeg make a clip, or takes the one it made before: H.264 of the given bitrate (30 frames a second, a key
// frame every 2 s, no B-frames, noise so that the rate is filled) and AAC of 128 kbit/s. It is kept in the user's cache
// folder, named by what it depends on.
func MakeClip(ctx context.Context, d time.Duration, bps int64) (string, error) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		return "", fmt.Errorf("run: a clip is made by ffmpeg, or given with --clip: %w", err)
	}
	args := clipArguments(d, bps)
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	dir := filepath.Join(base, "fairlead-bench")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("run: %w", err)
	}
	key := sha256.Sum256(fmt.Append(nil, version(ffmpeg), args))
	path := filepath.Join(dir, fmt.Sprintf("clip-%x.ts", key[:8]))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	half := fmt.Sprintf("%s.%d", path, os.Getpid())
	defer os.Remove(half)
	cmd := exec.CommandContext(ctx, ffmpeg, append(args, half)...)
	if out, err := cmd.CombinedOutput(); ctx.Err() != nil {
		return "", context.Cause(ctx)
	} else if err != nil {
		return "", fmt.Errorf("run: ffmpeg makes the clip: %w: %s", err, out)
	}
	if err := os.Rename(half, path); err != nil {
		return "", fmt.Errorf("run: %w", err)
	}
	return path, nil
}

func clipArguments(d time.Duration, bps int64) []string {
	rate := fmt.Sprint(bps)
	return []string{
		"-v", "error", "-nostdin", "-y",
		"-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30", "-f", "lavfi", "-i", "sine=1000:sample_rate=48000",
		"-vf", "noise=alls=40:allf=t", "-pix_fmt", "yuv420p",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1",
		"-b:v", rate, "-maxrate", rate, "-bufsize", fmt.Sprint(bps / 4), "-g", "60", "-keyint_min", "60", "-sc_threshold", "0", "-bf", "0",
		"-c:a", "aac", "-b:a", "128k", "-ac", "2",
		"-t", fmt.Sprintf("%.3f", d.Seconds()), "-muxdelay", "0", "-muxpreload", "0",
		// One audio frame to a PES packet and lengths in the headers: no receiver has to wait for the next packet.
		"-pes_payload_size", "0", "-omit_video_pes_length", "0", "-f", "mpegts",
	}
}

// ReadClip reads a transport stream with one picture track and takes what its first d holds; 0: all.
func ReadClip(path string, d time.Duration) (*Clip, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	return NewClip(b, d)
}

// NewClip makes a clip of a transport stream; it takes b.
func NewClip(b []byte, d time.Duration) (*Clip, error) {
	c := &Clip{bySum: map[uint64]int64{}}
	zero, err := c.cut(b, d)
	if err != nil {
		return nil, err
	}
	demuxer := mpegts.NewDemuxer(mpegts.Config{EarlyAfter: -1})
	take := func() {
		for f, ok := demuxer.Next(); ok; f, ok = demuxer.Next() {
			c.Bytes += int64(len(f.Payload))
			c.media = append(c.media, clipFrame{max(0, f.DTS-zero), f})
			if !f.Codec.IsVideo() {
				c.Sound = append(c.Sound, f.DTS-zero)
				continue
			}
			s := watch.FrameOf(f)
			s.Seq, s.Capture = int64(len(c.Frames)), max(0, f.DTS-zero)
			c.Frames = append(c.Frames, s)
			if sum := sumOf(f); sum != 0 {
				c.bySum[sum] = s.Seq
			}
		}
	}
	for _, p := range c.pieces { // taken at once: it holds so many frames, and drops what is beyond
		demuxer.Write(time.Time{}, p.data)
		take()
	}
	demuxer.Flush()
	take()
	slices.SortStableFunc(c.media, func(a, b clipFrame) int { return cmp.Compare(a.at, b.at) })
	switch {
	case len(c.Frames) == 0:
		return nil, fmt.Errorf("%w: no pictures", ErrClip)
	case !c.Frames[0].Key:
		return nil, fmt.Errorf("%w: the first picture is not a key frame", ErrClip)
	case len(c.bySum) < len(c.Frames):
		return nil, fmt.Errorf("%w: %d of %d pictures are not unique, so they cannot be told apart",
			ErrClip, len(c.Frames)-len(c.bySum), len(c.Frames))
	}
	return c, nil
}

// Duration is from the first picture's capture to one interval behind the last one's.
func (c *Clip) Duration() time.Duration {
	n := len(c.Frames)
	if n < 2 {
		return time.Second / 30
	}
	return c.Frames[n-1].Capture + (c.Frames[n-1].Capture - c.Frames[n-2].Capture)
}

// upTo is the frame list of the clip's first d.
func (c *Clip) upTo(d time.Duration) []stutter.Frame {
	n := 0
	for n < len(c.Frames) && c.Frames[n].Capture < d {
		n++
	}
	return c.Frames[:n]
}

// soundUpTo is how many audio frames the clip's first d holds.
func (c *Clip) soundUpTo(d time.Duration) int {
	n := 0
	for _, at := range c.Sound {
		if at < d {
			n++
		}
	}
	return n
}

// Find returns which picture f is; −1: not one of the clip's, or damaged.
func (c *Clip) Find(f *media.Frame) int64 {
	if i, ok := c.bySum[sumOf(f)]; ok {
		return i
	}
	return -1
}

func isSlice(c media.Codec, n []byte) bool {
	return len(n) > 0 && (c != media.H264 || media.H264NALType(n) <= media.H264NALIDR) && (c != media.H265 || media.H265NALType(n) < 32)
}

// sumOf hashes the slices of a picture, which no remuxer touches.
func sumOf(f *media.Frame) uint64 {
	h := fnv.New64a()
	any := false
	for n := range media.NALs(f.Payload) {
		if !isSlice(f.Codec, n) {
			continue
		}
		_, _ = h.Write(n)
		any = true
	}
	if !any {
		return 0
	}
	return h.Sum64()
}
