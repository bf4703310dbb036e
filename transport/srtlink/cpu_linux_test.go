package srtlink

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/transport/srt"
)

var (
	cpuCompare = flag.Bool("cpu-compare", false, "compare the CPU time of three listeners, 20 × 4 Mbit/s, interleaved: a minute and more")
	cpuRounds  = flag.Int("cpu-rounds", 3, "rounds of -cpu-compare")
	cpuWindow  = flag.Duration("cpu-window", 6*time.Second, "how long a listener is measured in a round")
	cpuOf      = flag.String("cpu-of", "own,gosrt,libsrt", "which: own, own-read (through Conn.Read), gosrt, libsrt (a srt-live-transmit for each stream)")
	cpuStreams = flag.Int("cpu-streams", 20, "streams")
	cpuRate    = flag.Int("cpu-rate", 380, "packets/s of a stream; 380 are 4 Mbit/s. 0: one keepalive a second")
	cpuProfile = flag.String("cpu-profile", "", "write CPU profiles of ours and gosrt's with this prefix")
)

// childEnv tells the test binary that it is a listener to be measured.
const childEnv = "FAIRLEAD_TEST_SRT_LISTENER"

// talker is a caller that sends and answers ACKs, and does nothing else: cheap, so that the listener has the machine.
type talker struct {
	conn  net.Conn
	id    uint32
	them  uint32
	began time.Time
	n     uint32
	b     []byte
}

func talk(addr, streamID string, id uint32) (*talker, error) {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return nil, err
	}
	return talkOver(conn, streamID, id)
}

func talkOver(conn net.Conn, streamID string, id uint32) (*talker, error) {
	k := &talker{conn: conn, id: id, began: time.Now(), b: make([]byte, srt.HeaderLen+1316)}
	var cookie uint32
	for end := time.Now().Add(need.Patience); time.Now().Before(end); {
		if _, err := conn.Write(k.hello(cookie, streamID)); err != nil {
			return nil, err
		}
		_ = conn.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
		for {
			n, err := conn.Read(k.b)
			if err != nil {
				time.Sleep(10 * time.Millisecond)
				break
			}
			h, body, ok := srt.ParseHeader(k.b[:n])
			if !ok || !h.Control || h.Type != srt.Handshake || len(body) < 48 {
				continue
			}
			switch kind := binary.BigEndian.Uint32(body[20:]); {
			case kind == 1:
				cookie = binary.BigEndian.Uint32(body[28:])
			case kind == 0xFFFFFFFF:
				k.them = binary.BigEndian.Uint32(body[24:])
				_ = conn.SetReadDeadline(time.Time{})
				return k, nil
			default:
				return nil, fmt.Errorf("refused: %d", kind)
			}
			break
		}
	}
	return nil, errors.New("no answer")
}

func (k *talker) stamp() uint32 { return uint32(time.Since(k.began) / time.Microsecond) }

// hello is an induction, or a conclusion when there is a cookie.
func (k *talker) hello(cookie uint32, streamID string) []byte {
	h := srt.Header{Control: true, Type: srt.Handshake, Timestamp: k.stamp()}
	b := h.Append(nil)
	words := []uint32{4, 2, 1000, 1500, 8192, 1, k.id, 0, 0, 0, 0, 0}
	if cookie != 0 {
		words = []uint32{5, 5, 1000, 1500, 8192, 0xFFFFFFFF, k.id, cookie, 0, 0, 0, 0, 1<<16 | 3, 0x010501, 0xBF, 120<<16 | 120}
		for len(streamID)%4 != 0 {
			streamID += "\x00"
		}
		words = append(words, 5<<16|uint32(len(streamID)/4))
		for ; streamID != ""; streamID = streamID[4:] {
			words = append(words, binary.LittleEndian.Uint32([]byte(streamID)))
		}
	}
	for _, w := range words {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}

func (k *talker) send() {
	k.n++
	h := srt.Header{Seq: 999 + k.n, Position: 3, MessageNo: k.n, Timestamp: k.stamp(), Dest: k.them}
	h.Append(k.b[:0])
	_, _ = k.conn.Write(k.b)
}

// answer answers ACKs until the socket is closed.
func (k *talker) answer() { k.answerOver(k.conn) }

func (k *talker) answerOver(conn net.Conn) {
	in, out := make([]byte, 2048), make([]byte, 0, 64)
	for {
		n, err := conn.Read(in)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if h, _, ok := srt.ParseHeader(in[:max(n, 0)]); ok && h.Control && h.Type == srt.ACK && h.Info != 0 {
			a := srt.Header{Control: true, Type: srt.ACKACK, Info: h.Info, Timestamp: k.stamp(), Dest: k.them}
			_, _ = conn.Write(append(a.Append(out), 0, 0, 0, 0))
		}
	}
}

// load sends streams to the addresses until stop is closed; ready is called when all are connected.
func load(t *testing.T, addrs []string, stop chan struct{}, ready func()) (sent int) {
	t.Helper()
	var wg sync.WaitGroup
	defer wg.Wait()
	var talkers []*talker
	for i, a := range addrs {
		k, err := talk(a, fmt.Sprintf("publish:live/%d", i), uint32(i)+1)
		if err != nil {
			t.Fatal(err)
		}
		talkers = append(talkers, k)
		defer k.conn.Close()
		wg.Go(k.answer)
	}
	ready()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began, total := time.Now(), 0
	for {
		select {
		case <-stop:
			for _, k := range talkers {
				h := srt.Header{Control: true, Type: srt.Shutdown, Timestamp: k.stamp(), Dest: k.them}
				_, _ = k.conn.Write(append(h.Append(nil), 0, 0, 0, 0))
			}
			return total
		case <-tick.C:
		}
		if *cpuRate == 0 && time.Since(began) >= time.Duration(total)*time.Second/time.Duration(*cpuStreams) {
			k := talkers[total%len(talkers)]
			h := srt.Header{Control: true, Type: srt.Keepalive, Timestamp: k.stamp(), Dest: k.them}
			_, _ = k.conn.Write(append(h.Append(nil), 0, 0, 0, 0))
			total++
		}
		due := int(time.Since(began).Seconds() * float64(*cpuRate**cpuStreams))
		if most := *cpuRate * *cpuStreams / 250; due-total > most { // 4 ms of it: who was kept from sending does not make up for it
			began = began.Add(time.Duration(float64(due-total-most) / float64(*cpuRate**cpuStreams) * float64(time.Second)))
			due = total + most
		}
		for ; total < due; total++ {
			talkers[total%len(talkers)].send()
		}
	}
}

// receivers are the processes to be measured.
type receivers struct {
	pids  []int
	addrs []string
	stop  func() (got string)
}

func startReceivers(t *testing.T, kind string, n int) receivers {
	t.Helper()
	if kind == "libsrt" {
		slt := need.Program(t, "srt-live-transmit")
		var r receivers
		var cmds []*exec.Cmd
		for range n {
			port := unusedPort(t)
			cmd := exec.Command(slt, "-q", fmt.Sprintf("srt://127.0.0.1:%d?mode=listener&latency=120", port), "file://con")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			cmds = append(cmds, cmd)
			r.pids, r.addrs = append(r.pids, cmd.Process.Pid), append(r.addrs, fmt.Sprintf("127.0.0.1:%d", port))
		}
		r.stop = func() string {
			for _, c := range cmds {
				_ = c.Process.Kill()
				_ = c.Wait()
			}
			return ""
		}
		return r
	}
	cmd := exec.Command(os.Args[0], "-test.run=TestListenerToBeMeasured", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), childEnv+"="+kind)
	if *cpuProfile != "" {
		cmd.Env = append(cmd.Env, childEnv+"_PROFILE="+*cpuProfile+"-"+kind)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	return receivers{pids: []int{cmd.Process.Pid}, addrs: slices.Repeat([]string{lines.Text()}, n), stop: func() string {
		_ = in.Close()
		lines.Scan()
		got := lines.Text()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		return got
	}}
}

// cpuTime is what the threads of processes have used so far.
func cpuTime(t *testing.T, pids []int) time.Duration {
	t.Helper()
	var sum time.Duration
	for _, pid := range pids {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, f := range tasks {
			b, _ := os.ReadFile(f)
			ns, _ := strconv.ParseInt(strings.SplitN(string(b), " ", 2)[0], 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}

// keepAwake keeps every processor busy at the lowest priority until the test ends: what a virtual machine's host takes for waking one is up to its
// other guests, and tripled from one hour to the next what a listener of little work is charged for.
func keepAwake(t *testing.T) {
	for range runtime.NumCPU() {
		cmd := exec.Command("nice", "-n", "19", "sh", "-c", "while :; do :; done")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
}

// TestCPU compares the CPU time of our listener, gosrt's and srt-live-transmit's under the same load, by turns:
//
//	go test ./transport/srtlink -run TestCPU -v -cpu-compare
func TestCPU(t *testing.T) {
	if !*cpuCompare {
		t.Log("-cpu-compare runs it")
		return
	}
	keepAwake(t)
	kinds := strings.Split(*cpuOf, ",")
	used := map[string][]float64{}
	for round := range *cpuRounds {
		for _, kind := range kinds {
			r := startReceivers(t, kind, *cpuStreams)
			stop := make(chan struct{})
			var percent float64
			var wg sync.WaitGroup
			sent := load(t, r.addrs, stop, func() {
				wg.Go(func() {
					defer close(stop)
					time.Sleep(time.Second)
					at, before := time.Now(), cpuTime(t, r.pids)
					time.Sleep(*cpuWindow)
					percent = 100 * float64(cpuTime(t, r.pids)-before) / float64(time.Since(at))
				})
			})
			wg.Wait()
			time.Sleep(300 * time.Millisecond)
			used[kind] = append(used[kind], percent)
			end := r.stop()
			t.Logf("round %d, %s: %.2f %% of a core; sent %d, %s", round+1, kind, percent, sent, end)
			if kind == Own && !strings.Contains(end, "dropped 0") {
				t.Errorf("own: %s of %d", end, sent)
			}
		}
	}
	median := func(kind string) float64 {
		v := slices.Sorted(slices.Values(used[kind]))
		if len(v) == 0 {
			return 0
		}
		return v[len(v)/2]
	}
	for _, kind := range kinds {
		t.Logf("%-8s median %6.2f %% of a core; own is %.3f of it", kind, median(kind), median("own")/median(kind))
		if most, ok := map[string]float64{"gosrt": 0.25, "libsrt": 0.30}[kind]; ok && *cpuRate > 0 && median("own") > most*median(kind) {
			t.Errorf("own is %.3f of %s, want ≤ %.2f", median("own")/median(kind), kind, most)
		}
	}
	if *cpuRate == 0 && median("own") > 2 {
		t.Errorf("%d idle connections take %.2f %% of a core, want ≤ 2 %%", *cpuStreams, median("own"))
	}
}

// TestListenerToBeMeasured is the other process of TestCPU.
func TestListenerToBeMeasured(t *testing.T) {
	kind := os.Getenv(childEnv)
	if kind == "" {
		return
	}
	if name := os.Getenv(childEnv + "_PROFILE"); name != "" {
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		_ = pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	var got, lost atomic.Int64
	impl := Own
	if kind == "gosrt" {
		impl = GoSRT
	}
	var forward net.Conn
	latency := 0
	if to := ""; strings.HasPrefix(kind, "forward ") {
		if _, err := fmt.Sscanf(kind, "forward %d %s", &latency, &to); err != nil {
			t.Fatal(err)
		}
		var err error
		if forward, err = net.Dial("udp", to); err != nil {
			t.Fatal(err)
		}
	}
	l, err := Listen(Config{Addr: "127.0.0.1:0", Latency: time.Duration(latency) * time.Millisecond, Listener: impl, Passphrase: os.Getenv(childEnv + "_PASSPHRASE"), Admit: func(Request) (func(context.Context, *Conn), error) {
		return func(_ context.Context, c *Conn) {
			if c == nil {
				return
			}
			switch {
			case forward != nil:
				_ = c.Deliver(func(_ time.Time, b []byte) error { _, _ = forward.Write(b); return nil })
			case kind == "own":
				_ = c.Deliver(func(time.Time, []byte) error { got.Add(1); return nil })
			default:
				b := make([]byte, MaxPayload)
				for {
					if _, err := c.Read(b); err != nil {
						break
					}
					got.Add(1)
				}
			}
			lost.Add(int64(c.Stats().Dropped))
		}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(l.Addr())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := l.Serve(ctx); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("delivered %d, dropped %d\n", got.Load(), lost.Load())
}
