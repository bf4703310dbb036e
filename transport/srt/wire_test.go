package srt

import (
	"bytes"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// captured reads a datagram that srt-live-transmit 1.5.1 sent.
func captured(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHandshakesOfLibsrt(t *testing.T) {
	for _, c := range []struct {
		name, streamID, filter string
		recv, send             uint16
		km                     bool
	}{
		{"plain", "publish:live/cam", "", 200, 200, false},
		{"ctr", "cam", "", 120, 0, true},
		{"filter", "cam", "fec,cols:5,rows:4,layout:even", 120, 0, false},
	} {
		p, body, ok := ParseHeader(captured(t, c.name+"-induction"))
		var h handshake
		if err := h.parse(body); err != nil || !ok || !p.Control || p.Type != Handshake || h.version != 4 || h.kind != typeInduction || h.extension != 2 {
			t.Errorf("%s: induction %+v %v", c.name, p, err)
		}
		_, body, _ = ParseHeader(captured(t, c.name+"-conclusion"))
		if err := h.parse(body); err != nil || h.version != 5 || h.kind != typeConclusion || !h.hs || h.flags != 0xBF || h.srtVersion != 0x010501 || h.cookie != 0x12345679 {
			t.Errorf("%s: conclusion %+v %v", c.name, h, err)
		}
		if string(h.streamID) != c.streamID || string(h.filter) != c.filter || h.recvDelay != c.recv || h.sendDelay != c.send || (h.km != nil) != c.km {
			t.Errorf("%s: streamid %q filter %q delays %d %d km %x", c.name, h.streamID, h.filter, h.recvDelay, h.sendDelay, h.km)
		}
		// What we write is what libsrt writes.
		if got := h.append(nil); !bytes.Equal(got, body) {
			t.Errorf("%s:\n got %x\nwant %x", c.name, got, body)
		}
		if !c.km {
			continue
		}
		d := decryptor{passphrase: "sixteen letters!"}
		if err := d.setKM(h.km); err != nil {
			t.Errorf("key material of libsrt: %v", err)
		}
		d.passphrase = "sixteen letters?"
		if err := d.setKM(h.km); err != errSecret {
			t.Errorf("wrong passphrase: %v", err)
		}
	}
}

func TestHeaderBothWays(t *testing.T) {
	for _, c := range []struct {
		h    Header
		want string
	}{
		{Header{Seq: 0x7FFFFFFF, Position: 3, Key: 2, Resent: true, MessageNo: 0x3FFFFFF, Timestamp: 1, Dest: 2}, "7fffffff" + "d7ffffff" + "00000001" + "00000002"},
		{Header{Seq: 1, Position: 3, Order: true, MessageNo: 1}, "00000001" + "e0000001" + "00000000" + "00000000"},
		{Header{Control: true, Type: User, Subtype: extKMReq, Info: 9, Dest: 3}, "ffff0003" + "00000009" + "00000000" + "00000003"},
	} {
		b := c.h.Append(nil)
		if got := hex.EncodeToString(b); got != c.want {
			t.Errorf("%+v: got %s, want %s", c.h, got, c.want)
		}
		if got, body, ok := ParseHeader(b); !ok || got != c.h || len(body) != 0 {
			t.Errorf("got %+v, want %+v", got, c.h)
		}
	}
}

func TestNumbersWrap(t *testing.T) {
	for _, c := range []struct {
		near int64
		s    uint32
		want int64
	}{
		{5, 7, 7}, {1 << 31, maxSeq, 1<<31 - 1}, {maxSeq, 0, 1 << 31}, {3<<31 + 5, 2, 3<<31 + 2}, {1<<31 + 1, 0, 1 << 31},
	} {
		if got := unwrap31(c.near, c.s); got != c.want {
			t.Errorf("%d near %d: got %d, want %d", c.s, c.near, got, c.want)
		}
	}
}

func TestRanges(t *testing.T) {
	b := AppendRange(AppendRange(nil, 7, 7), maxSeq, 2)
	want := "00000007" + "ffffffff" + "00000002"
	if hex.EncodeToString(b) != want {
		t.Errorf("got %x, want %s", b, want)
	}
	f, l, rest, ok := NextRange(b)
	f2, l2, rest, ok2 := NextRange(rest)
	if !ok || !ok2 || f != 7 || l != 7 || f2 != maxSeq || l2 != 2 || len(rest) != 0 {
		t.Errorf("got %d-%d, %d-%d", f, l, f2, l2)
	}
}

func TestACKLengths(t *testing.T) {
	a := ACKInfo{1, 2, 3, 4, 5, 6, 7}
	b := a.Append(nil)
	for n, want := range map[int]ACKInfo{28: a, 16: {1, 2, 3, 4, 0, 0, 0}, 4: {Next: 1}} {
		if got, ok := ParseACK(b[:n]); !ok || got != want {
			t.Errorf("%d bytes: got %+v", n, got)
		}
	}
}

// RFC 3394 §4.1.
func TestKeyUnwrap(t *testing.T) {
	kek, _ := hex.DecodeString("000102030405060708090A0B0C0D0E0F")
	wrapped, _ := hex.DecodeString("1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5")
	got, err := unwrapKey(kek, wrapped)
	if hex.EncodeToString(got) != "00112233445566778899aabbccddeeff" || err != nil {
		t.Errorf("got %x, %v", got, err)
	}
	wrapped[3] ^= 1
	if _, err := unwrapKey(kek, wrapped); err != errSecret {
		t.Errorf("got %v", err)
	}
}

func TestNames(t *testing.T) {
	for r := range dropReasons {
		if r.String() == "" || r.String() == "unknown_reason" {
			t.Errorf("reason %d has no name", r)
		}
	}
	if ACKACK.String() != "ACKACK" || User.String() != "USER" || ControlType(99).String() != "UNKNOWN" || RejectCode(math.MaxUint32).String() == "" {
		t.Error("a type without a name")
	}
}

func FuzzHandshake(f *testing.F) {
	for _, n := range []string{"plain", "ctr", "filter"} {
		f.Add(captured(f, n+"-induction")[HeaderLen:])
		f.Add(captured(f, n+"-conclusion")[HeaderLen:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var h handshake
		if h.parse(b) != nil {
			return
		}
		var again handshake
		if h.group = nil; h.extras > 0 || len(h.km) == 0 && h.km != nil {
			return
		}
		if err := again.parse(h.append(nil)); err != nil || string(again.streamID) != string(h.streamID) || string(again.filter) != string(h.filter) {
			t.Errorf("%x: %v, %q became %q", b, err, h.streamID, again.streamID)
		}
	})
}
