package wire

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/transport/srtp"
)

var update = flag.Bool("update", false, "rewrite the table of golden bytes in docs/wire.md")

var sessionID = [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

var (
	goldenSource = Source{Sequence: 0x01020304, Flags: Start | Key, Track: 0, Frame: FrameHeader{
		Codec: 1, Number: 0x0506, Capture: 0x0708090a, DTS: 0x0b0c0d0e0f10, CTS: 0x111213}, Data: []byte("media")}
	goldenRest   = Source{Sequence: 0x01020305, Flags: End, Data: []byte("and its end")}
	goldenRepair = Repair{Base: 0x01020304, Count: 2, Row: 5, Deadline: 150}
	goldenRTP    = RTP{Sequence: 0xfffe, SendTime: 0x11223344, SSRC: SSRC(0xabcdef1, 2)}
)

func goldenKeys() (k srtp.Keys) {
	copy(k.Key[:], "sixteen byte key")
	copy(k.Salt[:], "twelve bytes")
	return k
}

func goldenPlain() []byte {
	return AppendSource(append(AppendRTP(nil, goldenRTP), byte(TypeSource)), &goldenSource)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// goldenSymbol is what fec makes of both sources.
func goldenSymbol() []byte {
	e := must(fec.NewEncoder(fec.Config{}))
	for _, s := range []*Source{&goldenSource, &goldenRest} {
		if !e.Put(int64(s.Sequence), AppendSource(nil, s)) {
			panic("fec takes no golden source")
		}
	}
	b, ok := e.AppendRepair(nil, int64(goldenRepair.Base), goldenRepair.Count, goldenRepair.Row)
	if !ok {
		panic("fec makes no golden repair")
	}
	return b
}

// golden is every message once. parse says what the bytes must mean.
var golden = []struct {
	name, about string
	media       bool
	bytes       func() []byte
	parse       func(b []byte) (got, want any, err error)
}{
	{"RTP header", "sequence 0xfffe, send time 0x11223344, tag 0xabcdef1, epoch 2", true,
		func() []byte { return AppendRTP(nil, goldenRTP) },
		func(b []byte) (any, any, error) { h, _, err := ParseRTP(b); return h, goldenRTP, err }},
	{"source", "media sequence 0x01020304, start of a key frame, track 0, H.264, frame 0x0506, capture 0x0708090a, DTS 0x0b0c0d0e0f10, PTS − DTS 0x111213, data “media”", true,
		func() []byte { return AppendSource([]byte{byte(TypeSource)}, &goldenSource) },
		func(b []byte) (any, any, error) { s, err := ParseSource(b[1:]); return s, goldenSource, err }},
	{"resend", "the end of a droppable frame, media sequence 7, track 1, data “end”", true,
		func() []byte {
			return AppendSource([]byte{byte(TypeResend)}, &Source{Sequence: 7, Flags: End | Droppable, Track: 1, Data: []byte("end")})
		},
		func(b []byte) (any, any, error) {
			s, err := ParseSource(b[1:])
			return s, Source{Sequence: 7, Flags: End | Droppable, Track: 1, Data: []byte("end")}, err
		}},
	{"repair", "base 0xffffffff, count 128, row 5, round 1, key frame and last of its round, 200 ms left, symbol 00 01 02", true,
		func() []byte {
			return append(AppendRepairHeader(nil, &Repair{Base: 1<<32 - 1, Count: 128, Row: 5, Round: 1, Flags: RepairKey | RepairLast, Deadline: 200}), 0, 1, 2)
		},
		func(b []byte) (any, any, error) {
			r, err := ParseRepair(b[1:])
			return r, Repair{Base: 1<<32 - 1, Count: 128, Row: 5, Round: 1, Flags: RepairKey | RepairLast, Deadline: 200, Symbol: []byte{0, 1, 2}}, err
		}},
	{"source", "the rest of the first one's frame: media sequence 0x01020305, track 0, data “and its end”", true,
		func() []byte { return AppendSource([]byte{byte(TypeSource)}, &goldenRest) },
		func(b []byte) (any, any, error) { s, err := ParseSource(b[1:]); return s, goldenRest, err }},
	{"repair", "base 0x01020304, count 2, row 5, round 0, 150 ms left: the symbol of the two sources above, worked out", true,
		func() []byte { return append(AppendRepairHeader(nil, &goldenRepair), goldenSymbol()...) },
		func(b []byte) (any, any, error) {
			r, err := ParseRepair(b[1:])
			want := goldenRepair
			want.Symbol = goldenSymbol()
			return r, want, err
		}},
	{"probe", "media sequence goes up to 0x0102", true,
		func() []byte { return AppendProbe(nil, 0x0103) },
		func(b []byte) (any, any, error) { n, err := ParseProbe(b[1:]); return n, uint32(0x0103), err }},
	{"abandon", "300 packets from 0x01020304, for want of capacity", true,
		func() []byte { return AppendAbandon(nil, Abandon{0x01020304, 300, AbandonCapacity}) },
		func(b []byte) (any, any, error) {
			a, err := ParseAbandon(b[1:])
			return a, Abandon{0x01020304, 300, AbandonCapacity}, err
		}},
	{"DATAGRAM frame", "what one holds where media travels inside QUIC: the RTP header and the source, neither sealed nor padded", true,
		goldenPlain,
		func(b []byte) (any, any, error) {
			_, body, err := ParseRTP(b)
			if err != nil {
				return nil, nil, err
			}
			s, err := ParseSource(body[1:])
			return s, goldenSource, err
		}},
	{"feedback", "RTCP: from 0xfffe on three packets: arrived 0.125 s before the report with CE, missing, arrived with it; report time 1.5 s", true,
		func() []byte {
			return AppendFeedback(nil, SSRC(1, 0), SSRC(1, 0), 0xfffe, []Metric{NewMetric(125*time.Millisecond, 3), 0, NewMetric(0, 0)}, ReportTime(1500*time.Millisecond))
		},
		func(b []byte) (any, any, error) {
			f, err := ParseFeedback(b)
			return []any{f.Begin, f.Len(), f.Metric(0), f.Metric(1), f.Time}, []any{uint16(0xfffe), 3, Metric(0xe080), Metric(0), uint32(0x18000)}, err
		}},
	{"feedback", "RTCP: from 7 on two packets: a repair that arrived and is of no use, and one that arrived 9 s before the report; report time 1 s", true,
		func() []byte {
			return AppendFeedback(nil, SSRC(1, 0), SSRC(1, 0), 7, []Metric{NewUnused(0), NewMetric(9*time.Second, 0)}, ReportTime(time.Second))
		},
		func(b []byte) (any, any, error) {
			f, err := ParseFeedback(b)
			return []any{f.Len(), f.Metric(0).Unused(), f.Metric(1).Received(), f.Metric(1).Unused()}, []any{2, true, true, false}, err
		}},
	{"sealed SRTP", "the RTP header above with ROC 5 and the source above, master key “sixteen byte key”, master salt “twelve bytes”", true,
		func() []byte {
			c := must(srtp.NewSealer(goldenKeys()))
			return must(c.SealRTP(goldenPlain(), 0, 5<<16|0xfffe))
		},
		func(b []byte) (any, any, error) {
			tag, ok := Tag(b)
			return []any{tag, ok}, []any{uint32(0xabcdef1), true}, nil
		}},
	{"sealed SRTCP", "an empty report at time 0 for tag 1, epoch 0; the same keys, SRTCP index 0", true,
		func() []byte {
			c := must(srtp.NewSealer(goldenKeys()))
			return must(c.SealRTCP(AppendFeedback(nil, SSRC(1, 0), SSRC(1, 0), 0, nil, 0), 0))
		},
		func(b []byte) (any, any, error) {
			o := srtp.NewOpener()
			if err := o.SetKeys(0, goldenKeys()); err != nil {
				return nil, nil, err
			}
			plain, err := o.OpenRTCP(nil, b)
			return plain, AppendFeedback(nil, SSRC(1, 0), SSRC(1, 0), 0, nil, 0), err
		}},

	{"hello", "version 1, oldest 1, resume, session id 00…0f, latency 300 ms, “live/cam”, token “secret”, agent “x”", false,
		func() []byte { return AppendHello(nil, &goldenHello) },
		func(b []byte) (any, any, error) { h, err := ParseHello(b); return h, goldenHello, err }},
	{"welcome", "version 1, status 200, the session id, tag 0xabcdef1, latency 300 ms, hold 10 s, no reason, resumed, datagrams of 1452 bytes", false,
		func() []byte { return AppendWelcome(nil, &goldenWelcome) },
		func(b []byte) (any, any, error) { w, err := ParseWelcome(b); return w, goldenWelcome, err }},
	{"hello up to", "the same, and the latency may grow to 1 s", false,
		func() []byte { return AppendHello(nil, &goldenHelloMost) },
		func(b []byte) (any, any, error) { v, err := ParseHello(b); return v, goldenHelloMost, err }},
	{"welcome up to", "the same, and the latency may grow to 1 s", false,
		func() []byte { return AppendWelcome(nil, &goldenWelcomeMost) },
		func(b []byte) (any, any, error) { v, err := ParseWelcome(b); return v, goldenWelcomeMost, err }},
	{"tracks", "track 0 H.264 4 Mbit/s 1920×1080 29.97 frames/s, configuration 01 64; track 1 AAC 128 kbit/s 48 kHz stereo, configuration 11 90", false,
		func() []byte { return AppendTracks(nil, goldenTracks) },
		func(b []byte) (any, any, error) { v, err := ParseTracks(b); return v, goldenTracks, err }},
	{"target", "3.5 Mbit/s, reason 2; track 0 on at 3.2 Mbit/s, track 2 off", false,
		func() []byte { return AppendTarget(nil, &goldenTarget) },
		func(b []byte) (any, any, error) { v, err := ParseTarget(b); return v, goldenTarget, err }},
	{"target", "of a publisher: 3.5 Mbit/s, reason 1, 12 ms of queue, a third of loss", false,
		func() []byte { return AppendTarget(nil, &goldenTold) },
		func(b []byte) (any, any, error) { v, err := ParseTarget(b); return v, goldenTold, err }},
	{"keyframe", "of track 0", false,
		func() []byte { return AppendKeyframe(nil, 0) },
		func(b []byte) (any, any, error) { v, err := ParseKeyframe(b); return v, uint8(0), err }},
	{"stats", "the first three counters: 1000, 990, 9", false,
		func() []byte { return AppendStats(nil, []uint64{1000, 990, 9}) },
		func(b []byte) (any, any, error) { v, err := ParseStats(b); return v, []uint64{1000, 990, 9}, err }},
	{"drain", "within 5 s, to fairlead://b.example/app/key", false,
		func() []byte { return AppendDrain(nil, &goldenDrain) },
		func(b []byte) (any, any, error) { v, err := ParseDrain(b); return v, goldenDrain, err }},
	{"bye", "code 403, “no such key”", false,
		func() []byte { return AppendBye(nil, &Bye{403, "no such key"}) },
		func(b []byte) (any, any, error) { v, err := ParseBye(b); return v, Bye{403, "no such key"}, err }},
	{"rekey", "epoch 3", false,
		func() []byte { return AppendRekey(nil, 3) },
		func(b []byte) (any, any, error) { v, err := ParseRekey(b); return v, uint32(3), err }},
	{"path", "reply: path 1 has tag 0xabcdef2", false,
		func() []byte { return AppendPath(nil, &Path{1, true, 0xabcdef2}) },
		func(b []byte) (any, any, error) { v, err := ParsePath(b); return v, Path{1, true, 0xabcdef2}, err }},
}

var (
	goldenHello = Hello{Version: 1, Oldest: 1, Flags: HelloResume, SessionID: sessionID,
		Latency: 300 * time.Millisecond, Name: "live/cam", Token: "secret", Agent: "x"}
	goldenWelcome = Welcome{Version: 1, Status: 200, SessionID: sessionID, Tag: 0xabcdef1,
		Latency: 300 * time.Millisecond, Hold: 10 * time.Second, Flags: WelcomeResumed, MTU: 1452}
	goldenHelloMost, goldenWelcomeMost = upTo(goldenHello, goldenWelcome)
	goldenTracks                       = []Track{
		{ID: 0, Codec: 1, Bitrate: 4_000_000, Width: 1920, Height: 1080, Rate: 29970, Config: []byte{1, 0x64}},
		{ID: 1, Codec: 4, Bitrate: 128_000, Rate: 48000, Channels: 2, Config: []byte{0x11, 0x90}},
	}
	goldenTold   = Target{Bitrate: 3_500_000, Reason: 1, Path: &TargetPath{12 * time.Millisecond, 21845.0 / 65535}}
	goldenTarget = Target{Bitrate: 3_500_000, Reason: 2, Ladder: []Rung{{0, true, 3_200_000}, {2, false, 0}}}
	goldenDrain  = Drain{5 * time.Second, "fairlead://b.example/app/key"}
)

// upTo is both with a latency that may grow.
func upTo(h Hello, w Welcome) (Hello, Welcome) {
	h.MaxLatency, w.MaxLatency = time.Second, time.Second
	return h, w
}

func TestGolden(t *testing.T) {
	for _, g := range golden {
		b := g.bytes()
		if !g.media {
			_, body, n, err := NextControl(b)
			if err != nil || n != len(b) {
				t.Errorf("%s: took %d of %d bytes, %v", g.name, n, len(b), err)
				continue
			}
			b = body
			for cut := range body {
				if g.name == "target" && cut == 6 {
					continue // as a relay sends it, and publishers did before
				}
				if g.name == "hello up to" && cut == len(body)-2 || g.name == "welcome up to" && cut == len(body)-2 {
					continue // a latency that does not grow
				}
				if _, _, err := g.parse(body[:cut]); err == nil {
					t.Errorf("%s: %d of %d bytes parse", g.name, cut, len(body))
				}
			}
		}
		got, want, err := g.parse(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", g.name, got, err, want)
		}
	}
}

// The bytes in docs/wire.md are the ones this package writes.
func TestDocsAreCurrent(t *testing.T) {
	const begin, end = "<!-- golden bytes: go test ./transport/wire -update -->\n", "<!-- end of golden bytes -->\n"
	path := filepath.Join("..", "..", "docs", "wire.md")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	head, rest, ok := strings.Cut(doc, begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has lost the marks around its table", path)
	}
	var table strings.Builder
	table.WriteString("\n| message | meaning | bytes |\n| --- | --- | --- |\n")
	for _, g := range golden {
		fmt.Fprintf(&table, "| %s | %s | `%s` |\n", g.name, g.about, hex.EncodeToString(g.bytes()))
	}
	table.WriteString("\n")
	want := head + begin + table.String() + end + tail
	if want == doc {
		return
	}
	if !*update {
		t.Errorf("docs/wire.md is stale: go test ./transport/wire -update")
		return
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Every message that the page describes has bytes on it.
func TestEveryMessageHasBytes(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "wire.md"))
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, g := range golden {
		have[fmt.Sprintf("%t %d %s", g.media, g.bytes()[0], g.name)] = true
	}
	type message struct {
		media bool
		number,
		name string
	}
	var said []message
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| (\w+) \|`).FindAllStringSubmatch(string(b), -1) {
		said = append(said, message{false, m[1], m[2]})
	}
	for _, heading := range regexp.MustCompile(`(?m)^### (\d.*)$`).FindAllStringSubmatch(string(b), -1) {
		for _, m := range regexp.MustCompile(`(\d+) (\w+)`).FindAllStringSubmatch(heading[1], -1) {
			said = append(said, message{true, m[1], m[2]})
		}
	}
	if len(said) != int(ControlPath)+int(TypeAbandon) {
		t.Errorf("the page describes %d messages, want %d", len(said), int(ControlPath)+int(TypeAbandon))
	}
	for _, m := range said {
		if !have[fmt.Sprintf("%t %s %s", m.media, m.number, m.name)] {
			t.Errorf("no golden bytes of %s %s", m.number, m.name)
		}
	}
}
