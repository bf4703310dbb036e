package udp

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead-live/fairlead/bench/need"
)

// Datagrams arrive one by one as they were written, whatever their lengths, over sockets of both families, with segmented
// buffers and without.
func TestBurstSendsEveryDatagramAsItIs(t *testing.T) {
	sizes := map[string]func(i int) int{
		"equal":           func(int) int { return 1200 },
		"a short last":    func(i int) int { return 1200 - i/31*700 },
		"falling":         func(i int) int { return 1400 - 10*i },
		"rising":          func(i int) int { return 100 + 10*i },
		"frames of three": func(i int) int { return []int{1000, 1000, 999}[i%3] },
		"small":           func(i int) int { return 1 + i%2 },
	}
	for _, network := range []string{"udp4", "udp"} {
		for name, size := range sizes {
			for _, segment := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, %s, segments %v", network, name, segment), func(t *testing.T) {
					rx, _ := pair(t)
					tx, err := net.ListenUDP(network, nil)
					if err != nil {
						t.Fatal(err)
					}
					defer tx.Close()
					w, err := NewBurst(tx)
					if err != nil {
						t.Fatal(err)
					}
					w.msgs.segment = w.msgs.segment && segment
					var want [][]byte
					for i := range Batch {
						b := bytes.Repeat([]byte{byte(i + 1)}, size(i))
						want = append(want, b)
						if more := w.Add(append(w.Room(), b...)); more != (i < Batch-1) {
							t.Fatalf("room after %d datagrams: %v", i+1, more)
						}
					}
					to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(rx.LocalAddr().(*net.UDPAddr).Port))
					if failed, err := w.Flush(to); failed != 0 || err != nil {
						t.Fatalf("Flush = %d, %v", failed, err)
					}
					_ = rx.SetReadDeadline(time.Now().Add(need.Patience))
					b := make([]byte, 2000)
					for i := range want {
						n, err := rx.Read(b)
						if err != nil || !bytes.Equal(b[:n], want[i]) {
							t.Fatalf("datagram %d has %d bytes, %v, want %d", i, n, err, len(want[i]))
						}
					}
					if w.Len() != 0 || len(w.Room()) != 0 {
						t.Errorf("%d datagrams still wait", w.Len())
					}
				})
			}
		}
	}
}

// What the system refuses is counted, and does not keep back the rest: a segmented buffer it refuses goes one by one.
func TestBurstGoesOnAfterARefusal(t *testing.T) {
	rx, _ := pair(t)
	tx, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	w, err := NewBurst(tx)
	if err != nil {
		t.Fatal(err)
	}
	if failed, err := w.Flush(netip.AddrPort{}); failed != 0 || err != nil {
		t.Errorf("nothing to send: %d, %v", failed, err)
	}
	for range 3 {
		w.Add(append(w.Room(), "datagram"...))
	}
	segments := w.msgs.segment
	if failed, err := w.Flush(netip.MustParseAddrPort("127.0.0.1:0")); failed != 3 || !errors.Is(err, unix.EINVAL) {
		t.Errorf("a refused address: %d failed, %v, want 3, EINVAL", failed, err)
	}
	if w.msgs.segment != segments {
		t.Error("a refused address ends segmented buffers")
	}
	if failed, err := w.Flush(netip.AddrPort{}); failed != 0 || err != nil {
		t.Errorf("nothing waits after that: %d, %v", failed, err)
	}
	w.Add(append(w.Room(), "more"...))
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(rx.LocalAddr().(*net.UDPAddr).Port))
	if failed, err := w.Flush(to); failed != 0 || err != nil {
		t.Errorf("afterwards: %d, %v", failed, err)
	}
	for _, c := range []struct {
		err  syscall.Errno
		want bool
	}{{unix.EIO, true}, {unix.EINVAL, true}, {unix.EMSGSIZE, false}, {unix.EPERM, false}} {
		if noSegments(c.err) != c.want {
			t.Errorf("%v means no segmented buffers: %v", c.err, !c.want)
		}
	}
}

func TestBurstDoesNotAllocate(t *testing.T) {
	if raceOn {
		t.Log("allocation counts mean nothing under the race detector")
		return
	}
	if n := testing.AllocsPerRun(100, benchBurst(t, true)); n > 0 {
		t.Errorf("%v allocations a batch", n)
	}
}

// benchBurst sends a batch of datagrams of 1200 bytes to a socket that nobody reads.
func benchBurst(t testing.TB, segment bool) func() {
	rx, _ := pair(t)
	tx, err := net.ListenUDP("udp", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Close() })
	w, err := NewBurst(tx)
	if err != nil {
		t.Fatal(err)
	}
	w.msgs.segment = w.msgs.segment && segment
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(rx.LocalAddr().(*net.UDPAddr).Port))
	data := make([]byte, 1200)
	return func() {
		for w.Add(append(w.Room(), data...)) {
		}
		if _, err := w.Flush(to); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkBurst is of one datagram.
func BenchmarkBurst(b *testing.B) {
	b.Run("one by one", func(b *testing.B) {
		rx, tx := pair(b)
		_ = rx
		data := make([]byte, 1200)
		for range b.N {
			if _, err := tx.Write(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, segment := range map[string]bool{"sendmmsg": false, "segmented": true} {
		b.Run(name, func(b *testing.B) {
			send := benchBurst(b, segment)
			for n := 0; n < b.N; n += Batch {
				send()
			}
		})
	}
}
