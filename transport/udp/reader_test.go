package udp

import (
	"bytes"
	"net"
	"testing"

	"golang.org/x/net/ipv4"
)

func pair(t testing.TB) (rx, tx *net.UDPConn) {
	t.Helper()
	rx, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4zero})
	if err != nil {
		t.Fatal(err)
	}
	tx, err = net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: rx.LocalAddr().(*net.UDPAddr).Port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rx.Close(); _ = tx.Close() })
	return rx, tx
}

func buffers() *[Batch][]byte {
	var into [Batch][]byte
	for i := range into {
		into[i] = make([]byte, 1500)
	}
	return &into
}

func TestReaderGivesEveryDatagramItsSenderAndItsAddress(t *testing.T) {
	rx, tx := pair(t)
	if err := ipv4.NewPacketConn(rx).SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(rx)
	if err != nil {
		t.Fatal(err)
	}
	into := buffers()
	for i := range 40 {
		if _, err := tx.Write(bytes.Repeat([]byte{byte(i)}, i+1)); err != nil {
			t.Fatal(err)
		}
	}
	var source []byte
	for i := 0; i < 40; {
		n, err := r.Read(into)
		if err != nil {
			t.Fatal(err)
		}
		for k := range n {
			if got, want := into[k][:r.Size(k)], bytes.Repeat([]byte{byte(i)}, i+1); !bytes.Equal(got, want) {
				t.Errorf("datagram %d = %x, want %x", i, got, want)
			}
			if got := r.From(k).String(); got != tx.LocalAddr().String() {
				t.Errorf("from %s, want %s", got, tx.LocalAddr())
			}
			_, source = Meta(source[:0], r.OOB(k))
			i++
		}
	}
	// An answer with that control data leaves from the address the datagram came to.
	to := tx.LocalAddr().(*net.UDPAddr).AddrPort()
	if _, _, err := rx.WriteMsgUDPAddrPort([]byte("back"), source, to); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, err := tx.Read(b); err != nil || string(b[:n]) != "back" {
		t.Errorf("the answer: %q, %v", b[:n], err)
	}
	_ = rx.Close()
	if _, err := r.Read(into); err == nil {
		t.Error("a closed socket reads")
	}
}

func FuzzMeta(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{1}, 40))
	f.Add([]byte{17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3})
	f.Add([]byte{28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1, 0, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, b []byte) { Meta(nil, b) })
}
