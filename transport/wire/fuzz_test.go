package wire

import (
	"bytes"
	"testing"
)

// Whatever a body parses to appends to the same bytes again, up to ignored bits.
func FuzzBody(f *testing.F) {
	for _, g := range golden {
		if g.media {
			f.Add(g.bytes())
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		Tag(b)
		h, rest, err := ParseRTP(b)
		if err == nil {
			if got := append(AppendRTP(nil, h), rest...); !bytes.Equal(got, b) {
				t.Fatalf("RTP %x became %x", b, got)
			}
			b = rest
		}
		if s, err := ParseSource(b); err == nil {
			again, err := ParseSource(AppendSource(nil, &s))
			if err != nil || again.Sequence != s.Sequence || again.Frame != s.Frame || !bytes.Equal(again.Data, s.Data) {
				t.Fatalf("source %x: %+v became %+v, %v", b, s, again, err)
			}
		}
		if r, err := ParseRepair(b); err == nil {
			if r.Count < 1 || r.Count > 128 || r.Row > 127 || len(r.Symbol) == 0 {
				t.Fatalf("repair %x: %+v is out of bounds", b, r)
			}
		}
		_, _ = ParseProbe(b)
		_, _ = ParseAbandon(b)
		if fb, err := ParseFeedback(b); err == nil {
			metrics := make([]Metric, fb.Len())
			for i := range metrics {
				metrics[i] = fb.Metric(i)
			}
			got := AppendFeedback(nil, fb.Sender, fb.Media, fb.Begin, metrics, fb.Time)
			if len(got) != len(b) {
				t.Fatalf("feedback %x became %x", b, got)
			}
		}
	})
}

// A control stream of any bytes ends in an error or a partial message, with every list bounded.
func FuzzControl(f *testing.F) {
	var all []byte
	for _, g := range golden {
		if !g.media {
			f.Add(g.bytes())
			all = append(all, g.bytes()...)
		}
	}
	f.Add(all)
	f.Add([]byte{3, 0, 0, 1, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		for {
			kind, body, n, err := NextControl(b)
			if err != nil || n == 0 {
				return
			}
			b = b[n:]
			switch kind {
			case ControlHello:
				_, _ = ParseHello(body)
			case ControlWelcome:
				_, _ = ParseWelcome(body)
			case ControlTracks:
				if tracks, err := ParseTracks(body); err == nil && len(tracks) > MaxTracks {
					t.Fatal("too many tracks")
				}
			case ControlTarget:
				if g, err := ParseTarget(body); err == nil && len(g.Ladder) > MaxLadder {
					t.Fatal("too many rungs")
				}
			case ControlKeyframe:
				_, _ = ParseKeyframe(body)
			case ControlStats:
				if c, err := ParseStats(body); err == nil && len(c) > MaxStats {
					t.Fatal("too many counters")
				}
			case ControlDrain:
				_, _ = ParseDrain(body)
			case ControlBye:
				_, _ = ParseBye(body)
			case ControlRekey:
				_, _ = ParseRekey(body)
			case ControlPath:
				_, _ = ParsePath(body)
			}
		}
	})
}
