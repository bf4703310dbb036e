package rtmp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// readAll feeds b in pieces of step bytes and returns copies of all messages.
func readAll(t testing.TB, r *Reader, b []byte, step int) ([]Message, error) {
	t.Helper()
	var out []Message
	for len(b) > 0 {
		piece := b[:min(step, len(b))]
		b = b[len(piece):]
		for {
			m, n, ok, err := r.Consume(piece)
			if err != nil {
				return out, err
			}
			piece = piece[n:]
			if !ok {
				if len(piece) != 0 {
					t.Fatalf("Consume left %d bytes and gave no message", len(piece))
				}
				break
			}
			m.Payload = bytes.Clone(m.Payload)
			out = append(out, m)
		}
	}
	return out, nil
}

func sameMessage(a, b Message) bool {
	return a.ChunkStream == b.ChunkStream && a.Type == b.Type && a.Stream == b.Stream && a.Timestamp == b.Timestamp && bytes.Equal(a.Payload, b.Payload)
}

func describe(m Message) string {
	return fmt.Sprintf("cs %d type %d stream %d ts %d %d bytes", m.ChunkStream, m.Type, m.Stream, m.Timestamp, len(m.Payload))
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWriterGolden(t *testing.T) {
	w := NewWriter(4)
	for _, step := range []struct {
		why  string
		m    Message
		want string
	}{
		{"first on its chunk stream: type 0", Message{3, 8, 1, 1000, []byte("abc")}, "03 0003e8 000003 08 01000000 616263"},
		{"other length: type 1", Message{3, 8, 1, 1032, []byte("abcd")}, "43 000020 000004 08 61626364"},
		{"as the last but later: type 2", Message{3, 8, 1, 1070, []byte("abcd")}, "83 000026 61626364"},
		{"same step too: type 3", Message{3, 8, 1, 1108, []byte("abcd")}, "c3 61626364"},
		{"time goes back: type 0", Message{3, 8, 1, 1107, []byte("abcd")}, "03 000453 000004 08 01000000 61626364"},
		{"step equal to the type 0 timestamp, but behind it: type 2", Message{3, 8, 1, 2214, []byte("abcd")}, "83 000453 61626364"},
		{"longer than a chunk: type 3 inside", Message{3, 8, 1, 2215, []byte("abcdef")}, "43 000001 000006 08 61626364 c3 6566"},
		{"two-byte id", Message{64, 9, 1, 0, []byte("x")}, "00 00 000000 000001 09 01000000 78"},
		{"last two-byte id", Message{319, 9, 1, 0, []byte("x")}, "00 ff 000000 000001 09 01000000 78"},
		{"three-byte id, low byte first", Message{320, 9, 1, 0, []byte("x")}, "01 00 01 000000 000001 09 01000000 78"},
		{"last id", Message{65599, 9, 1, 0, []byte("x")}, "01 ff ff 000000 000001 09 01000000 78"},
		{"one below the extended timestamp", Message{4, 9, 1, 0xfffffe, []byte("abcde")}, "04 fffffe 000005 09 01000000 61626364 c4 65"},
		{"the extended timestamp's first value, repeated", Message{5, 9, 1, 0xffffff, []byte("abcde")}, "05 ffffff 000005 09 01000000 00ffffff 61626364 c5 00ffffff 65"},
		{"one more: the delta is small, so no extension", Message{5, 9, 1, 0x1000000, []byte("abcde")}, "85 000001 61626364 c5 65"},
		{"a step of 24 bits: type 0", Message{5, 9, 1, 0x1ffffff, []byte("abcde")}, "05 ffffff 000005 09 01000000 01ffffff 61626364 c5 01ffffff 65"},
		{"2^31", Message{6, 9, 1, 1 << 31, []byte("abcde")}, "06 ffffff 000005 09 01000000 80000000 61626364 c6 80000000 65"},
		{"last of 32 bits", Message{6, 9, 1, 0xffffffff, []byte("abcde")}, "06 ffffff 000005 09 01000000 ffffffff 61626364 c6 ffffffff 65"},
		{"wrap: the number goes back, type 0", Message{6, 9, 1, 4, []byte("abcde")}, "06 000004 000005 09 01000000 61626364 c6 65"},
		{"other message stream: type 0", Message{6, 9, 2, 8, []byte("abcde")}, "06 000008 000005 09 02000000 61626364 c6 65"},
		{"empty payload", Message{6, 9, 2, 8, nil}, "46 000000 000000 09"},
	} {
		want := unhex(t, step.want)
		scatter := NewWriter(4)
		scatter.streams = slices.Clone(w.streams)
		for cut := range len(step.m.Payload) + 1 {
			s := *scatter
			s.streams = slices.Clone(scatter.streams)
			head := step.m
			head.Payload = step.m.Payload[:cut]
			if got := bytes.Join(s.Scatter(nil, head, step.m.Payload[cut:]), nil); !bytes.Equal(got, want) {
				t.Errorf("%s: scatter at %d = %x, want %x", step.why, cut, got, want)
			}
		}
		if got := w.Append(nil, step.m); !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", step.why, got, want)
		}
	}
}

func TestReaderGolden(t *testing.T) {
	for _, c := range []struct {
		why  string
		in   string
		want []Message
	}{
		{"type 3 begins a message behind type 0: the timestamp again (§5.3.1.2.4)",
			"03 000028 000001 08 01000000 61 c3 62",
			[]Message{{3, 8, 1, 40, []byte("a")}, {3, 8, 1, 80, []byte("b")}}},
		{"type 3 behind type 2: the delta again",
			"03 000028 000001 08 01000000 61 83 000005 62 c3 63",
			[]Message{{3, 8, 1, 40, []byte("a")}, {3, 8, 1, 45, []byte("b")}, {3, 8, 1, 50, []byte("c")}}},
		{"chunk stream that begins with type 1",
			"43 000028 000001 08 61",
			[]Message{{3, 8, 0, 40, []byte("a")}}},
		{"two messages interleaved",
			"02 00000000000401 00000000 00000002  04 000001 000003 08 01000000 6162 05 000002 000003 09 01000000 7879 c4 63 c5 7a",
			[]Message{{2, 1, 0, 0, []byte{0, 0, 0, 2}}, {4, 8, 1, 1, []byte("abc")}, {5, 9, 1, 2, []byte("xyz")}}},
		{"extended delta, repeated where type 3 begins a message",
			"03 000001 000001 08 01000000 61 83 ffffff 01000000 62 c3 01000000 63",
			[]Message{{3, 8, 1, 1, []byte("a")}, {3, 8, 1, 0x1000001, []byte("b")}, {3, 8, 1, 0x2000001, []byte("c")}}},
		{"32-bit wrap by delta",
			"03 ffffff 000001 08 01000000 fffffffe 61 83 000004 62",
			[]Message{{3, 8, 1, 0xfffffffe, []byte("a")}, {3, 8, 1, 2, []byte("b")}}},
		{"abort throws the begun message away",
			"02 00000000000401 00000000 00000002 04 000001 000003 08 01000000 6162 02 00000000000402 00000000 0000 c2 0004",
			[]Message{{2, 1, 0, 0, []byte{0, 0, 0, 2}}, {2, 2, 0, 0, []byte{0, 0, 0, 4}}}},
		{"empty message", "03 000000 000000 08 01000000", []Message{{3, 8, 1, 0, nil}}},
	} {
		in := unhex(t, c.in)
		for step := 1; step <= len(in); step++ {
			got, err := readAll(t, NewReader(Limits{}), in, step)
			if err != nil || !slices.EqualFunc(got, c.want, sameMessage) {
				t.Errorf("%s, %d bytes at a time: got %v, %v, want %v", c.why, step, got, err, c.want)
				break
			}
		}
	}
}

// extended builds a message of 5-byte chunks with an extended timestamp, its type 3 chunks as repeat says.
func extendedMessage(ts uint32, payload []byte, repeat func(i int) []byte) []byte {
	b := []byte{4, 0xff, 0xff, 0xff, 0, 0, byte(len(payload)), 9, 1, 0, 0, 0, byte(ts >> 24), byte(ts >> 16), byte(ts >> 8), byte(ts)}
	for i := 0; len(payload) > 0; i++ {
		if i > 0 {
			b = append(append(b, 0xc4), repeat(i)...)
		}
		k := min(5, len(payload))
		b, payload = append(b, payload[:k]...), payload[k:]
	}
	return b
}

func TestExtendedTimestampsAsSendersWriteThem(t *testing.T) {
	size5 := []byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 5}
	for _, ts := range []uint32{0xffffff, 0x1000000, 1 << 31, 0xffffffff} {
		whole := []byte{byte(ts >> 24), byte(ts >> 16), byte(ts >> 8), byte(ts)}
		for _, sender := range []struct {
			why    string
			repeat func(int) []byte
		}{
			{"as RTMP 1.0 says", func(int) []byte { return whole }},
			{"left out (old senders)", func(int) []byte { return nil }},
			{"four zero bytes (gortmplib 1.0.2)", func(int) []byte { return make([]byte, 4) }},
		} {
			for n := 1; n < 40; n++ { // the last chunk has 1 to 5 bytes: fewer than the four looked at
				payload := make([]byte, n)
				for i := range payload {
					payload[i] = byte(i + 100)
				}
				in := slices.Concat(size5, extendedMessage(ts, payload, sender.repeat), extendedMessage(ts+1, payload, sender.repeat))
				if ts == 0xffffffff {
					in = slices.Concat(size5, extendedMessage(ts, payload, sender.repeat), extendedMessage(ts, payload, sender.repeat))
				}
				for _, step := range []int{1, 3, 7, len(in)} {
					got, err := readAll(t, NewReader(Limits{}), in, step)
					if err != nil || len(got) != 3 || !bytes.Equal(got[1].Payload, payload) || !bytes.Equal(got[2].Payload, payload) || got[1].Timestamp != ts {
						t.Fatalf("ts %#x, %s, %d bytes, step %d: got %v, %v", ts, sender.why, n, step, got, err)
					}
				}
			}
		}
	}
}

func TestReaderLimits(t *testing.T) {
	big := func(id byte, size int) []byte {
		return []byte{id, 0, 0, 0, byte(size >> 16), byte(size >> 8), byte(size), 9, 1, 0, 0, 0}
	}
	for _, c := range []struct {
		why string
		l   Limits
		in  []byte
	}{
		{"message too long", Limits{MessageSize: 1000}, big(4, 1001)},
		{"too many chunk streams", Limits{ChunkStreams: 2}, slices.Concat(big(4, 0), big(5, 0), big(6, 0))},
		{"chunk size 0", Limits{}, []byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"type 3 first", Limits{}, []byte{0xc4}},
		{"type 2 first", Limits{}, []byte{0x84, 0, 0, 0}},
		{"unfinished messages", Limits{MessageSize: 4000, Buffered: 5000},
			slices.Concat([]byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 15, 0}, big(4, 3999), make([]byte, 3840), big(5, 3999), make([]byte, 3840))},
	} {
		r := NewReader(c.l)
		_, err := readAll(t, r, c.in, 100)
		if !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: err = %v, want ErrProtocol", c.why, err)
		}
		if _, _, _, again := r.Consume([]byte{3}); again != err {
			t.Errorf("%s: the error is not final: %v", c.why, again)
		}
	}
}

func TestMemoryFollowsBytesNotPromises(t *testing.T) {
	r := NewReader(Limits{})
	var in []byte
	for id := byte(3); id < 60; id++ {
		in = append(in, id, 0, 0, 0, 0x7f, 0xff, 0xff, 9, 1, 0, 0, 0, 'x')
		in = append(in, bytes.Repeat([]byte{'x'}, 127)...)
	}
	if _, err := readAll(t, r, in, 1000); err != nil {
		t.Fatal(err)
	}
	if r.buffered > 57*1024 {
		t.Errorf("57 promises of 8 MB hold %d bytes", r.buffered)
	}
}

// randomMessages are messages a strict sender may send, times jumping about.
func randomMessages(rng *rand.Rand, n int) []Message {
	ids := []uint32{3, 4, 5, 63, 64, 319, 320, 65599}
	jumps := []uint32{0, 0, 33, 33, 33, 0xfffffe, 0xffffff, 0x1000000, 1 << 31, 0xffffffdf}
	var ts uint32
	var out []Message
	for range n {
		ts += jumps[rng.IntN(len(jumps))]
		p := make([]byte, rng.IntN(5)*rng.IntN(200))
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		out = append(out, Message{ids[rng.IntN(len(ids))], TypeVideo, uint32(rng.IntN(2)), ts, p})
	}
	return out
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0))
		w, s := NewWriter(0), NewWriter(0)
		b, sb := []byte(nil), []byte(nil)
		msgs := randomMessages(rng, 60)
		for i, m := range msgs {
			if i%20 == 10 {
				size := 1 + rng.IntN(300)
				b, sb = w.AppendSetChunkSize(b, size), s.AppendSetChunkSize(sb, size)
			}
			b = w.Append(b, m)
			cut := rng.IntN(len(m.Payload) + 1)
			tail := m.Payload[cut:]
			m.Payload = m.Payload[:cut]
			sb = append(sb, bytes.Join(s.Scatter(nil, m, tail), nil)...)
			s.Flushed()
		}
		if !bytes.Equal(b, sb) {
			t.Fatalf("seed %d: Append and Scatter differ", seed)
		}
		got, err := readAll(t, NewReader(Limits{}), b, 1+rng.IntN(500))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got = slices.DeleteFunc(got, func(m Message) bool { return m.Type == TypeSetChunkSize })
		for i := range msgs {
			if i >= len(got) || !sameMessage(got[i], msgs[i]) {
				t.Fatalf("seed %d: message %d of %d = %s, want %s", seed, i, len(got), describe(got[i]), describe(msgs[i]))
			}
		}
	}
}

func TestAggregateParts(t *testing.T) {
	tag := func(typ byte, ts uint32, body string) []byte {
		b := append([]byte{typ, 0, 0, byte(len(body)), byte(ts >> 16), byte(ts >> 8), byte(ts), byte(ts >> 24), 0, 0, 0}, body...)
		return append(b, 0, 0, 0, byte(11+len(body)))
	}
	m := Message{Type: TypeAggregate, Stream: 1, Timestamp: 5000, Payload: slices.Concat(tag(8, 100, "a"), tag(9, 133, "vv"), tag(8, 120, "b"), []byte{9, 0, 0})}
	got := slices.Collect(m.Parts())
	want := []Message{{0, 8, 1, 5000, []byte("a")}, {0, 9, 1, 5033, []byte("vv")}, {0, 8, 1, 5020, []byte("b")}}
	if !slices.EqualFunc(got, want, sameMessage) {
		t.Errorf("parts = %v, want %v", got, want)
	}
}

func TestHotPathAllocates(t *testing.T) {
	if raceEnabled {
		t.Log("allocation counts mean nothing under -race")
		return
	}
	w := newMediaWriter(4096, 1)
	head, tail := make([]byte, 5), make([]byte, 20000)
	var ts uint32
	var list [][]byte
	scatter := func() {
		list = w.Scatter(list[:0], TypeVideo, ts, head, tail)
		list = w.Scatter(list, TypeAudio, ts, head, tail[:300])
		w.Flushed()
		ts += 33
	}
	scatter()
	if n := testing.AllocsPerRun(100, scatter); n != 0 {
		t.Errorf("scatter: %v allocs, want 0", n)
	}
	r := NewReader(Limits{})
	r.chunkSize = 4096
	rw := newMediaWriter(4096, 1)
	var wire []byte
	read := func() {
		wire = rw.Append(wire[:0], TypeVideo, ts, tail)
		wire = rw.Append(wire, TypeAudio, ts, tail[:300])
		ts += 33
		b := wire
		for {
			_, n, ok, err := r.Consume(b)
			if err != nil {
				t.Fatal(err)
			}
			b = b[n:]
			if !ok {
				return
			}
		}
	}
	read()
	if n := testing.AllocsPerRun(100, read); n != 0 {
		t.Errorf("append and read: %v allocs, want 0", n)
	}
}

func FuzzReader(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	w := NewWriter(0)
	var b []byte
	for _, m := range randomMessages(rng, 20) {
		b = w.Append(b, m)
	}
	f.Add(b, uint16(7))
	f.Add(extendedMessage(0x1000000, []byte("0123456789abcdef"), func(int) []byte { return nil }), uint16(1))
	f.Add(extendedMessage(0x1000000, []byte("0123456789abcdef"), func(int) []byte { return make([]byte, 4) }), uint16(3))
	f.Add([]byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xc4}, uint16(2))
	f.Fuzz(func(t *testing.T, b []byte, step uint16) {
		l := Limits{MessageSize: 2000, Buffered: 5000, ChunkStreams: 8}
		r := NewReader(l)
		got, err := readAll(t, r, b, 1+int(step))
		held := 0
		for _, s := range r.streams {
			held += cap(s.buf)
		}
		if held != r.buffered || held > l.Buffered {
			t.Fatalf("holds %d bytes, counts %d, may hold %d", held, r.buffered, l.Buffered)
		}
		whole, err2 := readAll(t, NewReader(l), b, len(b)+1)
		if (err == nil) != (err2 == nil) || !slices.EqualFunc(got, whole, sameMessage) {
			t.Fatalf("in pieces of %d: %v, %v; whole: %v, %v", 1+int(step), got, err, whole, err2)
		}
		// What was read can be written and read again.
		w := NewWriter(0)
		var again []byte
		for _, m := range got {
			if m.Type != TypeSetChunkSize && m.Type != TypeAbort {
				again = w.Append(again, m)
			}
		}
		got = slices.DeleteFunc(got, func(m Message) bool { return m.Type == TypeSetChunkSize || m.Type == TypeAbort })
		back, err := readAll(t, NewReader(l), again, 100)
		if err != nil || !slices.EqualFunc(got, back, sameMessage) {
			t.Fatalf("written and read again: %v, %v, want %v", back, err, got)
		}
	})
}

func BenchmarkScatter(b *testing.B) {
	w := newMediaWriter(4096, 1)
	head, tail := make([]byte, 5), make([]byte, 17000)
	var list [][]byte
	b.SetBytes(17000)
	b.ReportAllocs()
	for i := range b.N {
		list = w.Scatter(list[:0], TypeVideo, uint32(i)*33, head, tail)
		w.Flushed()
	}
}

func BenchmarkRead(b *testing.B) {
	w := newMediaWriter(4096, 1)
	body := make([]byte, 17000)
	r := NewReader(Limits{})
	r.chunkSize = 4096
	wire := w.Append(nil, TypeVideo, 0, body)
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for range b.N {
		for in := wire; len(in) > 0; {
			_, n, _, err := r.Consume(in)
			if err != nil {
				b.Fatal(err)
			}
			in = in[n:]
		}
	}
}
