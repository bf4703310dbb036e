package amf

import (
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestGolden(t *testing.T) {
	got := hex.EncodeToString(Append(nil, "connect", 1, Object{{"app", "live"}, {"ok", true}}, nil))
	want := "020007636f6e6e656374" + "003ff0000000000000" + "03" + "0003617070" + "0200046c697665" + "00026f6b" + "0101" + "000009" + "05"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRoundTrip(t *testing.T) {
	in := []any{
		"a", strings.Repeat("x", 70000), 1.5, true, false, nil, Undefined{},
		Object{{"k", StrictArray{1.0, "b"}}, {"o", Object{}}}, ECMAArray{{"d", time.UnixMilli(1700000000123).UTC()}},
	}
	out, err := Decode(Append(nil, in...))
	if err != nil || !reflect.DeepEqual(in, out) {
		t.Fatalf("got %v %v", out, err)
	}
	if o := out[7].(Object); o.Get("absent") != nil || o.Get("o") == nil {
		t.Error("Get")
	}
}

func TestMalformedKeepsWhatCameBefore(t *testing.T) {
	out, err := Decode(append(Append(nil, "x", 2), 0x02, 0xff))
	if !errors.Is(err, ErrMalformed) || len(out) != 2 {
		t.Errorf("got %v %v", out, err)
	}
	deep := []byte(strings.Repeat("\x03\x00\x01a", 100))
	if _, err := Decode(deep); !errors.Is(err, ErrMalformed) {
		t.Errorf("deep nesting: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Append(nil, "connect", 1, Object{{"a", ECMAArray{{"b", StrictArray{nil}}}}}))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 5})
	f.Add([]byte{0x0b, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := Decode(b)
		if err != nil {
			return
		}
		if again, err := Decode(Append(nil, out...)); err != nil || len(again) != len(out) {
			t.Fatalf("%v came back as %v: %v", out, again, err)
		}
	})
}
