package mpegts

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// FuzzDemuxer: no panic, nothing unaccounted, bounded memory, well-formed frames, and the same frames however
// the stream is cut. cut seeds the lengths of the pieces.
func FuzzDemuxer(f *testing.F) {
	for _, b := range seeds() {
		f.Add(b, uint64(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint64) {
		cfg := Config{MaxAccessUnit: 64 << 10, EarlyAfter: 2}
		d := NewDemuxer(cfg)
		whole := demux(t, d, b, max(len(b), 1))
		if held := d.held(); held > maxStreams*2*maxAudioPES {
			t.Fatalf("holds %d bytes", held)
		}
		for _, fr := range whole {
			switch {
			case fr.Config == nil || fr.Config.Codec != fr.Codec || len(fr.Payload) == 0 || fr.PTS < fr.DTS:
				t.Fatalf("malformed frame %+v", fr)
			case fr.Codec.IsVideo() && !media.ValidNALs(fr.Payload):
				t.Fatalf("malformed payload %x", fr.Payload)
			}
		}
		rng := rand.New(rand.NewPCG(cut, 0))
		pieces := NewDemuxer(cfg)
		var got []*media.Frame
		for rest := b; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(600))
			pieces.Write(time.Time{}, rest[:n])
			rest = rest[n:]
		}
		pieces.Flush()
		for fr, ok := pieces.Next(); ok; fr, ok = pieces.Next() {
			got = append(got, fr)
		}
		if len(got) != len(whole) {
			t.Fatalf("%d frames in pieces, %d whole", len(got), len(whole))
		}
		for i := range got {
			if string(got[i].Payload) != string(whole[i].Payload) || got[i].DTS != whole[i].DTS || got[i].Flags != whole[i].Flags {
				t.Fatalf("frame %d is another one in pieces", i)
			}
		}
	})
}

// held is what the demuxer's buffers take.
func (d *Demuxer) held() int {
	n := cap(d.carry) + cap(d.work) + cap(d.pat.buf) + cap(d.pmt.buf)
	for _, s := range d.streams {
		if s != nil {
			n += cap(s.buf) + cap(s.rest)
		}
	}
	return n
}
