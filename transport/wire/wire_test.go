package wire

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"
)

func TestSourceRoundTrip(t *testing.T) {
	for _, s := range []Source{
		{Sequence: 1, Track: 3, Data: []byte("x")},
		{Sequence: 1<<32 - 1, Flags: End | Droppable, Track: 255, Data: []byte{}},
		{Sequence: 9, Flags: Start | Key | Config | Discontinuity, Frame: FrameHeader{
			Codec: 16, Number: 65535, Capture: 1<<32 - 1, DTS: -1 << 47, CTS: -1 << 23}, Data: []byte("data")},
		{Sequence: 9, Flags: Start | End, Frame: FrameHeader{
			Codec: 1, Number: 1, Capture: 2, DTS: 1<<47 - 1, CTS: 1<<23 - 1}, Data: []byte("data")},
	} {
		b := AppendSource([]byte("before"), &s)
		got, err := ParseSource(b[6:])
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("got %+v, %v, want %+v", got, err, s)
		}
	}
}

func TestRTP(t *testing.T) {
	h := RTP{Sequence: 65535, SendTime: 77, SSRC: SSRC(MaxTag, 17)}
	b := append(AppendRTP(nil, h), "rest"...)
	got, rest, err := ParseRTP(b)
	if err != nil || got != h || string(rest) != "rest" {
		t.Errorf("got %+v %q %v, want %+v", got, rest, err, h)
	}
	if tag, ok := Tag(b); !ok || tag != MaxTag {
		t.Errorf("tag = %x, %v", tag, ok)
	}
	if IsRTCP(b) || !IsMedia(b) {
		t.Error("RTP is not told from RTCP and QUIC")
	}
	for _, first := range []byte{0, 63, 64, 127, 192, 255} { // STUN, QUIC short and long headers
		if IsMedia([]byte{first}) {
			t.Errorf("first byte %d is not ours (RFC 9443)", first)
		}
	}
	report := AppendFeedback(nil, SSRC(5, 1), SSRC(5, 1), 0, nil, 0)
	if tag, ok := Tag(report); !ok || tag != 5 || !IsRTCP(report) {
		t.Errorf("tag of a report = %x, %v", tag, ok)
	}
	for _, bad := range [][]byte{nil, b[:11], append([]byte{0x81}, b[1:]...), append([]byte{0x80, 0xe0}, b[2:]...)} {
		if _, _, err := ParseRTP(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("ParseRTP(%x) = %v, want %v", bad, err, ErrMalformed)
		}
	}
}

func TestFeedbackRoundTrip(t *testing.T) {
	for n := range 6 {
		var metrics []Metric
		for i := range n {
			if i%2 == 0 {
				metrics = append(metrics, NewMetric(time.Duration(i)*7*time.Millisecond, uint8(i)))
			} else {
				metrics = append(metrics, 0)
			}
		}
		b := AppendFeedback(nil, 1, 2, 65534, metrics, 99)
		if len(b)%4 != 0 {
			t.Errorf("%d metrics: %d bytes, not whole words", n, len(b))
		}
		f, err := ParseFeedback(b)
		if err != nil || f.Len() != n || f.Sender != 1 || f.Media != 2 || f.Begin != 65534 || f.Time != 99 {
			t.Fatalf("%d metrics: got %+v, %v", n, f, err)
		}
		for i, m := range metrics {
			if f.Metric(i) != m {
				t.Errorf("metric %d = %x, want %x", i, f.Metric(i), m)
			}
		}
		for cut := range b {
			if _, err := ParseFeedback(b[:cut]); err == nil {
				t.Errorf("%d of %d bytes parsed", cut, len(b))
			}
		}
	}
}

func TestMetric(t *testing.T) {
	for _, c := range []struct {
		in, want time.Duration
		ok       bool
	}{
		{0, 0, true},
		{-time.Second, 0, true},
		{time.Second, time.Second, true},
		{100 * time.Millisecond, 102 * time.Second / 1024, true},
		{8 * time.Second, 0, false},
		{time.Hour, 0, false},
	} {
		m := NewMetric(c.in, 3)
		if got, ok := m.Offset(); !m.Received() || m.ECN() != 3 || ok != c.ok || ok && got != c.want {
			t.Errorf("offset %v: got %v %v", c.in, got, ok)
		}
	}
	if Metric(0).Received() {
		t.Error("zero means not received")
	}
	if got := ReportTime(65537*time.Second + 500*time.Millisecond); got != 1<<16|0x8000 {
		t.Errorf("report time = %x", got)
	}
}

func TestRepairRoundTrip(t *testing.T) {
	want := Repair{Base: 1<<32 - 3, Count: 128, Row: 127, Round: 2, Flags: RepairKey | RepairLast, Deadline: 65535, Symbol: []byte("symbol")}
	b := append(AppendRepairHeader(nil, &want), want.Symbol...)
	got, err := ParseRepair(b[1:])
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, at := range []int{5, 6} {
		bad := bytes.Clone(b)
		bad[at] |= 0x80
		if _, err := ParseRepair(bad[1:]); err == nil {
			t.Errorf("reserved bit of byte %d is set and it parses", at)
		}
	}
	if _, err := ParseRepair(b[1:RepairHeaderSize]); err == nil {
		t.Error("a repair without a symbol parses")
	}
}

func TestControlSkipsAndGrows(t *testing.T) {
	stream := AppendKeyframe(nil, 4)
	stream = append(stream, 200, 0, 0, 3, 1, 2, 3) // a type of a later version
	bye := AppendBye(nil, &Bye{Code: 1, Reason: "why"})
	bye = append(bye, "new field"...) // a field of a later version
	bye[3] += byte(len("new field"))
	stream = append(stream, bye...)
	var types []Control
	for len(stream) > 0 {
		if _, _, n, err := NextControl(stream[:3]); n != 0 || err != nil {
			t.Fatalf("a part of a header: took %d, %v", n, err)
		}
		kind, body, n, err := NextControl(stream)
		if err != nil || n == 0 {
			t.Fatalf("stuck at %x: %v", stream, err)
		}
		if kind == ControlBye {
			if b, err := ParseBye(body); err != nil || b.Reason != "why" {
				t.Errorf("bye with a new field: %+v, %v", b, err)
			}
		}
		types = append(types, kind)
		stream = stream[n:]
	}
	if want := []Control{ControlKeyframe, 200, ControlBye}; !reflect.DeepEqual(types, want) {
		t.Errorf("types = %v, want %v", types, want)
	}
	if _, _, _, err := NextControl([]byte{1, 255, 255, 255}); !errors.Is(err, ErrMalformed) {
		t.Errorf("a body of 16 MiB: %v, want %v", err, ErrMalformed)
	}
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("allocation counts mean nothing under the race detector")
		return
	}
	buf := make([]byte, 0, 2048)
	s := Source{Sequence: 4, Flags: Start | End, Data: make([]byte, 1100)}
	r := Repair{Base: 4, Count: 5, Row: 6}
	metrics := make([]Metric, 50)
	if n := testing.AllocsPerRun(100, func() {
		buf = AppendSource(AppendRTP(buf[:0], RTP{}), &s)
		_, rest, _ := ParseRTP(buf)
		if _, err := ParseSource(rest); err != nil {
			t.Fatal(err)
		}
		buf = append(AppendRepairHeader(buf[:0], &r), "symbol"...)
		if _, err := ParseRepair(buf[1:]); err != nil {
			t.Fatal(err)
		}
		buf = AppendFeedback(buf[:0], 1, 2, 3, metrics, 4)
		if _, err := ParseFeedback(buf); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestUnused(t *testing.T) {
	m := NewUnused(3)
	if _, known := m.Offset(); known || !m.Received() || !m.Unused() || m.ECN() != 3 {
		t.Errorf("%04x", uint16(m))
	}
	for _, m := range []Metric{0, 0x1fff, NewMetric(0, 3), NewMetric(time.Hour, 0)} {
		if m.Unused() {
			t.Errorf("%04x is unused", uint16(m))
		}
	}
}
