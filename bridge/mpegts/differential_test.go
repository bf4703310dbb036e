package mpegts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/asticode/go-astits"
	lib "github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// haul is what a demuxer got out of a stream: payloads as frames have them.
type haul map[string]bool

func (h haul) picture(codec media.Codec, nals [][]byte) {
	h[string(media.SplitAccessUnit(nil, codec, slices.Values(nals)).Payload)] = true
}

// good counts what is in the clean stream too.
func (h haul) good(clean haul) (n int) {
	for p := range h {
		if clean[p] {
			n++
		}
	}
	return n
}

func haulOurs(t *testing.T, ts []byte) haul {
	h := haul{}
	for _, f := range demux(t, NewDemuxer(Config{}), ts, 1316) {
		h[string(f.Payload)] = true
	}
	return h
}

func haulMediacommon(ts []byte) haul {
	h := haul{}
	r := &lib.Reader{R: bytes.NewReader(ts)}
	if r.Initialize() != nil {
		return h
	}
	for _, t := range r.Tracks() {
		switch t.Codec.(type) {
		case *codecs.H264:
			r.OnDataH264(t, func(_, _ int64, au [][]byte) error { h.picture(media.H264, au); return nil })
		case *codecs.MPEG4Audio:
			r.OnDataMPEG4Audio(t, func(_ int64, aus [][]byte) error {
				for _, a := range aus {
					h[string(a)] = true
				}
				return nil
			})
		}
	}
	for r.Read() == nil {
	}
	return h
}

func haulAstits(ts []byte) haul {
	h := haul{}
	dem := astits.NewDemuxer(context.Background(), bytes.NewReader(ts), astits.DemuxerOptPacketSize(PacketSize))
	for range len(ts) / PacketSize {
		data, err := dem.NextData()
		if errors.Is(err, astits.ErrNoMorePackets) || errors.Is(err, io.EOF) {
			break
		}
		if err != nil || data.PES == nil {
			continue
		}
		if data.PES.Header.StreamID == 0xe0 {
			h.picture(media.H264, naiveNALs(media.H264, data.PES.Data))
			continue
		}
		for b := data.PES.Data; len(b) > 0; {
			f := findADTS(b)
			if f.size == 0 || f.size > len(b) {
				break
			}
			h[string(f.data)] = true
			b = b[f.size:]
		}
	}
	return h
}

// spoil damages a stream after its first keep bytes; kinds of damage are those of a network, a file and a bad cable.
func spoil(rng *rand.Rand, ts []byte, keep int) ([]byte, string) {
	b := bytes.Clone(ts)
	at := func() int { return keep + rng.IntN((len(b)-keep)/PacketSize)*PacketSize }
	var what strings.Builder
	for range 1 + rng.IntN(12) {
		i := at()
		switch rng.IntN(6) {
		case 0:
			n := min((1+rng.IntN(9))*PacketSize, len(b)-i)
			b = slices.Delete(b, i, i+n)
			what.WriteString("lost ")
		case 1: // as a datagram that comes twice; a single packet twice is a duplicate as the standard has it
			b = slices.Insert(b, i, bytes.Clone(b[i:i+PacketSize])...)
			what.WriteString("twice ")
		case 2:
			b[i+20+rng.IntN(PacketSize-20)] ^= byte(1 + rng.IntN(255))
			what.WriteString("payload ")
		case 3:
			b[i] ^= byte(1 + rng.IntN(255))
			what.WriteString("sync ")
		case 4:
			junk := make([]byte, 1+rng.IntN(400))
			for k := range junk {
				junk[k] = byte(rng.Uint32())
			}
			b = slices.Insert(b, i, junk...)
			what.WriteString("junk ")
		case 5:
			b = slices.Delete(b, i+rng.IntN(PacketSize), min(i+PacketSize+rng.IntN(500), len(b)))
			what.WriteString("torn ")
		}
	}
	return b, what.String()
}

// TestNeverFewerThanTheLibraries: on damaged input, as many good frames as mediacommon and go-astits or more.
func TestNeverFewerThanTheLibraries(t *testing.T) {
	ts := remux(t, encode(t, 3, "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "1M", "-bf", "2", "-g", "30", "-pix_fmt", "yuv420p", "-c:a", "aac"), "-f", "mpegts")
	clean := haulOurs(t, ts)
	if n := haulMediacommon(ts).good(clean); n != len(clean) {
		t.Fatalf("of the clean stream mediacommon gets %d frames, we %d", n, len(clean))
	}
	keep := 400 * PacketSize // tables and the first parameter sets, without which the libraries give frames and we have no use for them
	runs := 60
	if testing.Short() {
		runs = 10
	}
	var ours, theirs, astit int
	for seed := range uint64(runs) {
		bad, what := spoil(rand.New(rand.NewPCG(seed, 2)), ts, keep)
		a, m, s := haulOurs(t, bad).good(clean), haulMediacommon(bad).good(clean), haulAstits(bad).good(clean)
		ours, theirs, astit = ours+a, theirs+m, astit+s
		if a < m || a < s {
			t.Errorf("seed %d (%s): %d good frames, mediacommon %d, go-astits %d, clean %d", seed, what, a, m, s, len(clean))
		}
	}
	t.Logf("%d damaged streams: %d good frames, mediacommon %d, go-astits %d, of %d", runs, ours, theirs, astit, runs*len(clean))
}
