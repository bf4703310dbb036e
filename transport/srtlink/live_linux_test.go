package srtlink

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/fnv"
	"math"
	"net"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/transport/srt"
)

var recoverySeeds = flag.Int("recovery-seeds", 2, "seeds of -live's comparison of recovery")

// A publisher that comes back with its key, from another port and with another socket id, while the connection it had is not known
// to be dead: it delivers again after two round trips and the latency, and the way of its first packet. In virtual time that is exact
// (TestComesBack of package srt); -live judges it in real time.
func TestComesBackAtOnce(t *testing.T) {
	const delay, latency = 20 * time.Millisecond, 120 * time.Millisecond
	var mu sync.Mutex
	var arrivals []time.Time // of each connection's first payload
	l, err := Listen(Config{Addr: "127.0.0.1:0", Latency: latency, Admit: func(Request) (func(context.Context, *Conn), error) {
		return func(_ context.Context, c *Conn) {
			first := true
			_ = c.Deliver(func(time.Time, []byte) error {
				if first {
					first = false
					mu.Lock()
					defer mu.Unlock()
					arrivals = append(arrivals, time.Now())
				}
				return nil
			})
		}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = l.Serve(ctx) })
	var began time.Time
	for i := range 2 {
		began = time.Now()
		k, err := talk(newPath(t, l.Addr().String(), delay, share(0, 1)).addr(), "publish:live/a", uint32(i)+1)
		if err != nil {
			t.Fatal(err)
		}
		defer k.conn.Close()
		wg.Go(k.answer)
		for n, sent := 0, 0; n <= i || sent < 150; sent++ {
			k.send()
			time.Sleep(2632 * time.Microsecond)
			mu.Lock()
			n = len(arrivals)
			mu.Unlock()
			if time.Since(began) > 30*time.Second {
				t.Fatalf("%d connections delivered", n)
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	took := arrivals[1].Sub(began)
	t.Logf("delivering %v after it called; two round trips, latency and one way are %v", took, 5*delay+latency)
	if *live && took > 5*delay+latency+8*time.Millisecond { // four ticks of the two lines between, and of both ends
		t.Errorf("delivering after %v", took)
	}
}

// fate decides about datagrams by what is in them, so that two listeners lose the same.
type fate struct {
	seed uint64
	p    float64
}

func (f fate) lost(b []byte, again int) bool {
	h := fnv.New64a()
	_ = binary.Write(h, binary.BigEndian, []uint64{f.seed, uint64(again)})
	_, _ = h.Write(b[:min(8, len(b))])
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x>>11)/(1<<53) < f.p
}

func startListener(t *testing.T, latency time.Duration, admit func(Request) (func(context.Context, *Conn), error)) string {
	t.Helper()
	l, err := Listen(Config{Addr: "127.0.0.1:0", Latency: latency, Admit: admit})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = l.Serve(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return l.Addr().String()
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// Fifty callers of libsrt through 20 % of loss each way: all are let in within 3 s.
func TestFiftyConnect(t *testing.T) {
	if !*live {
		t.Log("-live runs it")
		return
	}
	slt := need.Program(t, "srt-live-transmit")
	const n = 50
	var mu sync.Mutex
	took := map[string]time.Duration{}
	began := map[string]time.Time{}
	addr := startListener(t, 120*time.Millisecond, func(r Request) (func(context.Context, *Conn), error) {
		return func(ctx context.Context, c *Conn) {
			if c != nil {
				_ = c.Deliver(func(time.Time, []byte) error {
					mu.Lock()
					defer mu.Unlock()
					if name := r.StreamID.Name(); took[name] == 0 {
						took[name] = time.Since(began[name])
					}
					return nil
				})
			}
		}, nil
	})
	for i := range n {
		path := newPath(t, addr, 30*time.Millisecond, share(0.2, uint64(i)))
		port := unusedPort(t)
		name := fmt.Sprintf("live/%d", i)
		mu.Lock()
		began[name] = time.Now()
		mu.Unlock()
		command(t, slt, "-q", fmt.Sprintf("udp://127.0.0.1:%d", port), fmt.Sprintf("srt://%s?streamid=publish:%s&latency=120", path.addr(), name))
		src, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer src.Close()
			for range 200 {
				_, _ = src.Write(make([]byte, 1316))
				time.Sleep(20 * time.Millisecond)
			}
		}()
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(4 * time.Second)
	mu.Lock()
	defer mu.Unlock()
	var all []time.Duration
	for _, d := range took {
		all = append(all, d)
	}
	slices.Sort(all)
	if len(all) < n || all[n-1] > 3*time.Second+150*time.Millisecond+30*time.Millisecond {
		t.Errorf("%d of %d, %v", len(all), n, all)
		return
	}
	t.Logf("%d of %d: from the start of the program to the first payload, the latency of 120 ms included: median %v, slowest %v", len(all), n, all[n/2], all[n-1])
}

// twin is a path that loses by packet and seed only.
func twin(t *testing.T, to string, delay time.Duration, up, down fate) string {
	t.Helper()
	var epoch uint32
	tries := map[uint32]int{}
	return newPath(t, to, delay, func(there bool, p []byte) bool {
		var key [8]byte
		switch {
		case p[0]&0x80 == 0 && there: // data: its number from the first one, and how often it was sent
			seq := binary.BigEndian.Uint32(p)
			if epoch == 0 {
				epoch = seq
			}
			tries[seq]++
			binary.BigEndian.PutUint32(key[:], seq-epoch)
			return up.lost(key[:], tries[seq])
		case p[1] == 0: // a handshake
			return false
		}
		binary.BigEndian.PutUint64(key[:], uint64(time.Now().UnixNano()))
		if there {
			return up.lost(key[:], 0)
		}
		return down.lost(key[:], 0)
	}).addr()
}

// received notes what comes out of a receiver, and when.
type received struct {
	mu   sync.Mutex
	seen map[uint32]time.Time
}

func (r *received) take(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := binary.BigEndian.Uint32(b); n != math.MaxUint32 {
		r.seen[n] = time.Now()
	}
}

// score is the share of n packets that did not come out, and the seconds in 100 s that a player with 50 ms to spare, which shows
// 33 ms of packets at a time, stands still because one of them is not there.
func (r *received) score(n int) (missing, stutter float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	const frame = 13 // packets
	still := 0
	for i := 0; i+frame <= n; i += frame {
		for k := range frame {
			if _, ok := r.seen[uint32(i+k)]; !ok {
				still++
				break
			}
		}
	}
	return 1 - float64(len(r.seen))/float64(n), 100 * float64(still) / float64(n/frame)
}

// TestRecoveryLive sends the same packets over paths that lose the same ones to srt-live-transmit and to our listener, which may not stutter more in any row:
//
//	go test ./transport/srtlink -run TestRecoveryLive -v -live
func TestRecoveryLive(t *testing.T) {
	if !*live {
		t.Log("-live runs it")
		return
	}
	slt := need.Program(t, "srt-live-transmit")
	const n, delay = 5600, 30 * time.Millisecond // 15 s, round trip 60 ms
	for _, latency := range []int{120, 250, 500} {
		for _, loss := range []float64{0.05, 0.10, 0.20} {
			var sums [2][2]float64
			for seed := range *recoverySeeds {
				var got [2]*received
				var sources []net.Conn
				for i := range got {
					r := &received{seen: map[uint32]time.Time{}}
					got[i] = r
					var addr string
					out, err := net.ListenPacket("udp", "127.0.0.1:0")
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = out.Close() })
					go func() {
						b := make([]byte, 2048)
						for {
							k, _, err := out.ReadFrom(b)
							if err != nil {
								return
							}
							if k >= 4 {
								r.take(b)
							}
						}
					}()
					if i == 0 {
						f := startReceivers(t, fmt.Sprintf("forward %d %v", latency, out.LocalAddr()), 1)
						t.Cleanup(func() { f.stop() })
						addr = f.addrs[0]
					} else {
						addr = fmt.Sprintf("127.0.0.1:%d", unusedPort(t))
						command(t, slt, "-q", fmt.Sprintf("srt://%s?mode=listener&latency=%d", addr, latency), "udp://"+out.LocalAddr().String())
					}
					in := unusedPort(t)
					via := twin(t, addr, delay, fate{uint64(seed) + 1, loss}, fate{uint64(seed) + 100, loss / 5})
					command(t, slt, "-q", fmt.Sprintf("udp://127.0.0.1:%d", in), fmt.Sprintf("srt://%s?streamid=publish:live/x&latency=%d", via, latency))
					src, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", in))
					if err != nil {
						t.Fatal(err)
					}
					sources = append(sources, src)
				}
				time.Sleep(1500 * time.Millisecond)
				b := make([]byte, 1316)
				began := time.Now()
				for i := range n + 100 {
					k := uint32(i)
					if i >= n {
						k = math.MaxUint32 // so that a loss at the end shows
					}
					binary.BigEndian.PutUint32(b, k)
					for _, s := range sources {
						_, _ = s.Write(b)
					}
					time.Sleep(time.Until(began.Add(time.Duration(i) * 2632 * time.Microsecond)))
				}
				time.Sleep(time.Duration(latency)*time.Millisecond + 300*time.Millisecond)
				for i, r := range got {
					m, s := r.score(n)
					sums[i][0] += 100 * m / float64(*recoverySeeds)
					sums[i][1] += s / float64(*recoverySeeds)
				}
			}
			t.Logf("latency %3d, loss %2.0f %%: missing %.3f %% (srt-live-transmit %.3f %%), stutter %.2f s in 100 s (%.2f)",
				latency, 100*loss, sums[0][0], sums[1][0], sums[0][1], sums[1][1])
			if sums[0][1] > sums[1][1] {
				t.Errorf("latency %d, loss %.0f %%: more stutter than srt-live-transmit's", latency, 100*loss)
			}
		}
	}
}

// When payloads come out of a listener on loopback, against the time they were sent at and the latency; of one stream, and of twenty, for which
// the loop sleeps longer.
func TestDeliveryTimeLive(t *testing.T) {
	if !*live {
		t.Log("-live runs it")
		return
	}
	for _, streams := range []int{1, 20} {
		var mu sync.Mutex
		var off []time.Duration
		const latency = 120 * time.Millisecond
		epoch := time.Now()
		addr := startListener(t, latency, func(Request) (func(context.Context, *Conn), error) {
			return func(_ context.Context, c *Conn) {
				_ = c.Deliver(func(_ time.Time, b []byte) error {
					mu.Lock()
					defer mu.Unlock()
					off = append(off, (time.Since(epoch) - time.Duration(binary.BigEndian.Uint64(b)) - latency).Abs())
					return nil
				})
			}, nil
		})
		var talkers []*talker
		for i := range streams {
			k, err := talk(addr, fmt.Sprintf("publish:live/%d", i), uint32(i)+7)
			if err != nil {
				t.Fatal(err)
			}
			defer k.conn.Close()
			go k.answer()
			talkers = append(talkers, k)
		}
		began := time.Now()
		for i := range 3800 { // 10 s
			for n, k := range talkers {
				time.Sleep(time.Until(began.Add(time.Duration(i*streams+n) * 2632 * time.Microsecond / time.Duration(streams))))
				binary.BigEndian.PutUint64(k.b[srt.HeaderLen:], uint64(time.Since(epoch)))
				k.send()
			}
		}
		time.Sleep(2 * latency)
		mu.Lock()
		slices.Sort(off)
		if len(off) == 0 {
			t.Fatal("nothing came")
		}
		p50, p99 := off[len(off)/2], off[len(off)*99/100]
		t.Logf("%d streams, %d payloads: error p50 %v, p99 %v, max %v", streams, len(off), p50, p99, off[len(off)-1])
		if p50 > time.Millisecond || p99 > 3*time.Millisecond {
			t.Errorf("%d streams: error p50 %v, p99 %v, want ≤ 1 ms and ≤ 3 ms", streams, p50, p99)
		}
		mu.Unlock()
	}
}
