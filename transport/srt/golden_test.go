package srt

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// goldenStream reads testdata/name.hex: a caller's conclusion, then its data packets in the order they were sent, as srt-live-transmit of
// libsrt 1.5.5 (built with AEAD) sent them: header, length of the body, body.
func goldenStream(t *testing.T, name string) (conclusion handshake, began uint32, packets [][]byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		var n int
		_, _ = fmt.Sscan(f[1], &n)
		b, err := hex.DecodeString(f[0] + f[2])
		if err != nil || len(b) != HeaderLen+n {
			t.Fatal(line, err)
		}
		if conclusion.km != nil {
			packets = append(packets, b)
			continue
		}
		h, body, _ := ParseHeader(b)
		if err := conclusion.parse(body); err != nil || conclusion.km == nil {
			t.Fatal(err)
		}
		began = h.Timestamp
	}
	return conclusion, began, packets
}

// AES-GCM of libsrt 1.5.5: every packet authenticates, also those that parity brings back.
func TestGCMOfLibsrt(t *testing.T) {
	for _, name := range []string{"gcm-packets", "gcm-even-5x4"} {
		hello, began, packets := goldenStream(t, name)
		for lose := range 12 { // one in five, from the lose-th on; 11: none
			s, now := newServer(Config{Latency: 200 * time.Millisecond, Passphrase: secret}), time.Unix(1e9, 0)
			tx := newCaller(7, hello.isn, "k", 0)
			tx.km, tx.filter, tx.version, tx.stamp = hello.km, string(hello.filter), hello.srtVersion, began
			c := connect(t, s, now, addrA, tx)
			h, _, _ := ParseHeader(packets[0])
			delete(s.l.conns, c.id)
			c.id = h.Dest // which is authenticated too
			s.l.conns[c.id] = c
			sent, lost := 0, 0
			for _, p := range packets {
				h, _, _ := ParseHeader(p)
				if h.MessageNo != 0 {
					sent++
					// At most one of a row of five, and not the last one, whose parity is not in the file.
					if i := int(h.Seq - hello.isn); lose < 11 && len(hello.filter) > 0 && i%5 == lose%5 && i < 20 {
						lost++
						continue
					}
				}
				s.l.HandleDatagram(now, addrA, bytes.Clone(p))
			}
			now = now.Add(10 * time.Second)
			c.heard = s.l.at(now)
			s.onPop = func(_ time.Time, b []byte) {
				// The plain text is one byte, repeated.
				if len(b) < 100 || len(bytes.Trim(b, string(b[:1]))) > 0 {
					t.Errorf("%s: %x", name, b)
				}
			}
			s.drive(now)
			st := c.Stats()
			if len(s.got) != sent || st.Drops[DropUndecrypted] > 0 || int(st.Rebuilt) != lost {
				t.Errorf("%s: %d of %d came out, %d lost, %+v", name, len(s.got), sent, lost, st)
			}
		}
	}
}
