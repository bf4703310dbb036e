package mpegts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/asticode/go-astits"
	lib "github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// benchStream is 10 s of 720p30 at 4 Mbit/s with AAC, as ffmpeg muxes it.
func benchStream(b *testing.B) []byte {
	b.Helper()
	file := b.TempDir() + "/bench.ts"
	ffmpeg(b, "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30,noise=alls=20:allf=t", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-t", "10", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "4M", "-maxrate", "4M", "-bufsize", "4M", "-g", "60", "-pix_fmt", "yuv420p",
		"-c:a", "aac", "-f", "mpegts", file)
	return readFile(b, file)
}

// chunks reads as SRT delivers: 7 packets a time.
type chunks struct{ r *bytes.Reader }

func (c chunks) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), 1316)]) }

// BenchmarkDemuxers takes the same stream apart with three demuxers: compare the MB/s of one run. Ours with the
// relay's memory, which is used again, and as others use it.
func BenchmarkDemuxers(b *testing.B) {
	ts := benchStream(b)
	run := func(name string, once func() int) {
		b.Run(name, func(b *testing.B) {
			var before, after runtime.MemStats
			b.SetBytes(int64(len(ts)))
			frames := 0
			runtime.GC()
			runtime.ReadMemStats(&before)
			cpu := cpuTime(b)
			for b.Loop() {
				frames = once()
			}
			cpu = cpuTime(b) - cpu
			runtime.ReadMemStats(&after)
			mb := float64(b.N) * float64(len(ts)) / 1e6
			b.ReportMetric(mb/cpu.Seconds(), "MB/cpu-s")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/mb, "allocs/MB")
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/mb/1e6, "alloc-B/B")
			b.ReportMetric(float64(frames), "frames")
		})
	}
	now := time.Unix(1_700_000_000, 0)
	ours := func(d *Demuxer) func() int {
		return func() int {
			n := 0
			for rest := ts; len(rest) > 0; {
				k := min(len(rest), 1316)
				d.Write(now, rest[:k])
				rest = rest[k:]
				for f, ok := d.Next(); ok; f, ok = d.Next() {
					f.Release()
					n++
				}
			}
			return n
		}
	}
	run("fairlead", ours(NewDemuxer(Config{Memory: media.NewArena((&blocks{}).get)})))
	run("fairlead, collected", ours(NewDemuxer(Config{})))
	run("mediacommon", func() int {
		n := 0
		r := &lib.Reader{R: chunks{bytes.NewReader(ts)}}
		if err := r.Initialize(); err != nil {
			b.Fatal(err)
		}
		for _, t := range r.Tracks() {
			switch t.Codec.(type) {
			case *codecs.H264:
				r.OnDataH264(t, func(_, _ int64, _ [][]byte) error { n++; return nil })
			case *codecs.MPEG4Audio:
				r.OnDataMPEG4Audio(t, func(_ int64, aus [][]byte) error { n += len(aus); return nil })
			}
		}
		for r.Read() == nil {
		}
		return n
	})
	run("go-astits", func() int {
		n := 0
		dem := astits.NewDemuxer(context.Background(), chunks{bytes.NewReader(ts)}, astits.DemuxerOptPacketSize(PacketSize))
		for {
			data, err := dem.NextData()
			if errors.Is(err, astits.ErrNoMorePackets) || errors.Is(err, io.EOF) {
				return n
			}
			if err == nil && data.PES != nil {
				n++ // whole PES packets: it takes neither NAL units nor ADTS frames apart
			}
		}
	})
}

// cpuTime is what this process has used, collector included: on a busy machine it says more than the clock.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkSplitAnnexB measures the search for start codes alone.
func BenchmarkSplitAnnexB(b *testing.B) {
	pic := annexB(testSPS, testPPS, slice(0x65, 40000), slice(0x65, 40000))
	b.SetBytes(int64(len(pic)))
	b.ReportAllocs()
	nals := make([]span, 0, 8)
	for b.Loop() {
		nals, _ = splitAnnexB(nals[:0], pic, 0)
	}
}

func BenchmarkMuxer(b *testing.B) {
	sizes := make([]int, 300)
	for i := range sizes {
		sizes[i] = 16000
	}
	frames := testFrames(b, 1, time.Second, sizes)
	m, err := NewMuxer(TracksOf(frames...))
	if err != nil {
		b.Fatal(err)
	}
	var out []byte
	for _, f := range frames {
		out = m.AppendFrame(out, f)
	}
	b.SetBytes(int64(len(out)))
	b.ReportAllocs()
	for b.Loop() {
		out = out[:0]
		for _, f := range frames {
			out = m.AppendFrame(out, f)
		}
	}
}
