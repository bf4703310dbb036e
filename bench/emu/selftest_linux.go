package emu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// A Check is one line of the self test.
type Check struct {
	Link, What string // the link is "namespaces" or "proxy"
	Got, Want  string
	Pass       bool

	// What the machine did meanwhile, apart from us.
	Busy    float64       // the share of it that others took, 0..1
	HostP99 time.Duration // how late it woke a waiting thread of the same priority that does nothing else
	HostMax time.Duration
}

// What the self test asks for.
const (
	wantDelayP50   = 300 * time.Microsecond
	wantDelayP99   = 2 * time.Millisecond
	wantRateError  = 0.01
	wantPackets    = 40_000 // a second, or
	wantMegabits   = 300
	wantJitterP99  = 2 * time.Millisecond
	stallThreshold = 100 * time.Millisecond // of bridge/stutter
)

// SelfTest measures the links of this package on this machine, d for each phase (0: 4 s), and reports each check.
// It returns ErrNotPermitted when the namespaces could not be tested; the proxy then was.
func SelfTest(ctx context.Context, d time.Duration, report func(Check)) error {
	if d <= 0 {
		d = 4 * time.Second
	}
	var skipped error
	for _, l := range []struct {
		name string
		open opener
	}{{"namespaces", openPair}, {"proxy", openProxy}} {
		err := (&selfTest{ctx: ctx, d: d, link: l.name, open: l.open, report: report}).run()
		if errors.Is(err, ErrNotPermitted) || errors.Is(err, ErrUnsupported) {
			skipped = err
		} else if err != nil {
			return err
		}
	}
	return skipped
}

// A subject is a link under test with sockets at both ends.
type subject struct {
	probe
	pair  *Pair // nil: a proxy
	close func()
}

type opener func(Config) (*subject, error)

func openPair(c Config) (*subject, error) {
	p, err := NewPair(c)
	if err != nil {
		return nil, err
	}
	s := &subject{pair: p}
	var fds [2]int
	s.close = func() { unix.Close(fds[Near]); unix.Close(fds[Far]); p.Close() }
	for _, side := range []Side{Near, Far} {
		err = errors.Join(err, p.Do(side, func() (err error) {
			fds[side], err = udpSocket(netip.AddrPortFrom(p.Addr(side), 0), netip.AddrPort{})
			return err
		}))
	}
	if err == nil {
		s.tx, s.rx = fds[Near], fds[Far]
		s.to, err = localAddr(s.rx)
	}
	if err != nil {
		s.close()
	}
	return s, err
}

func openProxy(c Config) (*subject, error) {
	any := netip.MustParseAddrPort("127.0.0.1:0")
	rx, err := udpSocket(any, netip.AddrPort{})
	if err != nil {
		return nil, err
	}
	target, err := localAddr(rx)
	var tx int
	var p *UDPProxy
	if err == nil {
		if tx, err = udpSocket(any, netip.AddrPort{}); err == nil {
			if p, err = NewUDPProxy(any, target, c); err != nil {
				unix.Close(tx)
			}
		}
	}
	if err != nil {
		unix.Close(rx)
		return nil, err
	}
	s := &subject{probe: probe{tx: tx, rx: rx, to: p.Addr()}}
	s.close = func() { p.Close(); unix.Close(tx); unix.Close(rx) }
	return s, nil
}

type selfTest struct {
	ctx    context.Context
	d      time.Duration
	link   string
	open   opener
	report func(Check)
	busy   cpuTimes
	host   *sleeper
}

func (t *selfTest) run() error {
	t.host = startSleeper()
	defer t.host.stop()
	for _, phase := range []func() error{t.delay, t.loss, t.rate, t.control, t.throughput, t.tcp} {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		t.busy = readCPUTimes()
		t.host.reset()
		if err := phase(); err != nil {
			return err
		}
	}
	return nil
}

func (t *selfTest) check(what string, pass bool, got, want string) {
	c := Check{Link: t.link, What: what, Got: got, Want: want, Pass: pass, Busy: readCPUTimes().othersSince(t.busy)}
	c.HostP99, c.HostMax = t.host.late()
	t.report(c)
}

// send runs a probe over a fresh link.
func (t *selfTest) send(up netem.Config, size, pps int, patience time.Duration) (*arrivals, error) {
	s, err := t.open(Config{Up: up, Seed: 1})
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.size = size
	return s.run(int(t.d.Seconds()*float64(pps)), pps, patience)
}

func (t *selfTest) delay() error {
	const base = 20 * time.Millisecond
	a, err := t.send(netem.Config{Delay: netem.Delay{Base: base}}, 1200, 500, 100*time.Millisecond)
	if err != nil {
		return err
	}
	late, step := make([]time.Duration, len(a.delay)), make([]time.Duration, len(a.delay))
	for i, d := range a.delay {
		late[i] = (d - base).Abs()
		step[i] = (d - a.delay[max(i-1, 0)]).Abs()
	}
	p50, p99 := quantileOf(late, 0.5), quantileOf(late, 0.99)
	t.check("delay error p50", p50 <= wantDelayP50, show(p50), "≤ "+show(wantDelayP50))
	t.check("delay error p99", p99 <= wantDelayP99, show(p99), "≤ "+show(wantDelayP99))
	j := quantileOf(step, 0.99)
	t.check("jitter p99", j <= wantJitterP99, show(j), "≤ "+show(wantJitterP99))
	return nil
}

func (t *selfTest) loss() error {
	const p = 0.1
	a, err := t.send(netem.Config{Loss: netem.Loss{Model: netem.LossRandom, P: p}}, 200, 4000, 100*time.Millisecond)
	if err != nil {
		return err
	}
	n := float64(a.sent)
	off := (n - float64(len(a.delay)) - p*n) / math.Sqrt(n*p*(1-p))
	t.check("loss of 10 %", math.Abs(off) <= 3, fmt.Sprintf("%.2f %% (%+.1fσ of %d)", 100*(1-float64(len(a.delay))/n), off, a.sent), "within 3σ")
	return nil
}

// rate has a queue of 200 ms, so that a stall of the machine does not empty it.
func (t *selfTest) rate() error {
	const size, rate = 1200, 20 * netem.Mbit
	a, err := t.send(netem.Config{Rate: rate, Limit: netem.Limit{Packets: 400}}, size, 3000, 400*time.Millisecond)
	if err != nil {
		return err
	}
	skip := len(a.at) / 10 // the queue fills
	if len(a.at)-skip < 10 {
		t.check("rate of 20 Mbit/s", false, "nothing came", "within 1 %")
		return nil
	}
	first, last := a.at[skip], a.at[len(a.at)-1]
	got := float64(len(a.at)-1-skip) * (size + 28) * 8 / (last - first).Seconds()
	off := got/float64(rate) - 1
	t.check("rate of 20 Mbit/s", math.Abs(off) <= wantRateError, fmt.Sprintf("%.3f Mbit/s (%+.2f %%)", got/1e6, 100*off), "within 1 %")
	return nil
}

// control is a stream on a clean link: what is wrong with it is the machine's doing.
func (t *selfTest) control() error {
	a, err := t.send(netem.Config{}, 1200, 400, 100*time.Millisecond)
	if err != nil {
		return err
	}
	stalls := 0
	for i := 1; i < len(a.at); i++ {
		if a.at[i]-a.at[i-1] > stallThreshold {
			stalls++
		}
	}
	missing := a.sent - len(a.delay)
	p99 := quantileOf(a.delay, 0.99)
	t.check("control: added p99", p99 < wantJitterP99, show(p99), "< "+show(wantJitterP99))
	t.check("control: stalls, lost", stalls+missing == 0, fmt.Sprintf("%d, %d", stalls, missing), "0, 0")
	return nil
}

func (t *selfTest) throughput() error {
	s, err := t.open(Config{Seed: 1})
	if err != nil {
		return err
	}
	defer s.close()
	s.size = 1200
	pps := s.flood(t.d / 2)
	mbit := pps * (1200 + 28) * 8 / 1e6
	t.check("UDP throughput", pps >= wantPackets || mbit >= wantMegabits, fmt.Sprintf("%.0f packets/s, %.0f Mbit/s", pps, mbit), fmt.Sprintf("≥ %d or ≥ %d", wantPackets, wantMegabits))
	return nil
}

// tcp is one kernel TCP connection over the namespaces.
func (t *selfTest) tcp() error {
	s, err := t.open(Config{Seed: 1})
	if err != nil {
		return err
	}
	defer s.close()
	if s.pair == nil {
		return nil
	}
	var ln net.Listener
	if err := s.pair.Do(Far, func() (err error) { ln, err = net.Listen("tcp", s.pair.Addr(Far).String()+":0"); return err }); err != nil {
		return err
	}
	defer ln.Close()
	got := make(chan float64, 1)
	go func() {
		in, err := ln.Accept()
		if err != nil {
			got <- 0
			return
		}
		defer in.Close()
		begin := time.Now()
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{in}, make([]byte, 1<<18))
		got <- float64(n) * 8 / 1e6 / time.Since(begin).Seconds()
	}()
	var out net.Conn
	if err := s.pair.Do(Near, func() (err error) { out, err = net.Dial("tcp", ln.Addr().String()); return err }); err != nil {
		return err
	}
	b := make([]byte, 1<<18)
	for end := time.Now().Add(t.d / 2); time.Now().Before(end); {
		if _, err := out.Write(b); err != nil {
			break
		}
	}
	out.Close()
	mbit := <-got
	t.check("TCP throughput", mbit >= wantMegabits, fmt.Sprintf("%.0f Mbit/s", mbit), fmt.Sprintf("≥ %d", wantMegabits))
	return nil
}

func show(d time.Duration) string { return fmt.Sprintf("%.3f ms", ms(d)) }

// cpuTimes are ticks of the whole machine and of this process.
type cpuTimes struct{ total, idle, own float64 }

func readCPUTimes() (c cpuTimes) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return c
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	for i, f := range strings.Fields(string(line)) {
		n, err := strconv.ParseFloat(f, 64)
		if err != nil || i > 8 { // proc(5): user nice system idle iowait irq softirq steal; guests are in user
			continue
		}
		c.total += n
		if i == 4 || i == 5 {
			c.idle += n
		}
	}
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) == nil {
		c.own = 100 * (float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9) // ticks are 10 ms (USER_HZ)
	}
	return c
}

// othersSince is the share of the machine that other processes, and other machines on the same host, took.
func (c cpuTimes) othersSince(b cpuTimes) float64 {
	total := c.total - b.total
	if total <= 0 {
		return 0
	}
	return min(1, max(0, (total-(c.idle-b.idle)-(c.own-b.own))/total))
}

// A sleeper is a thread that wakes up every 2 ms and notes how late: what no emulator on this machine can avoid.
type sleeper struct {
	end, done chan struct{}

	mu sync.Mutex // guards h
	h  histogram
}

func startSleeper() *sleeper {
	s := &sleeper{end: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_, undo := precise()
		defer undo()
		for {
			select {
			case <-s.end:
				return
			default:
			}
			due := time.Now().Add(2 * time.Millisecond)
			sleepPrecisely(2 * time.Millisecond)
			s.mu.Lock()
			// A long stall is one sleep but many packets: count it as often as it should have woken up.
			for late := time.Since(due); ; late -= 2 * time.Millisecond {
				s.h.add(late)
				if late < 2*time.Millisecond {
					break
				}
			}
			s.mu.Unlock()
		}
	}()
	return s
}

func (s *sleeper) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.h = histogram{}
}

func (s *sleeper) late() (p99, most time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.h.quantile(0.99), s.h.max
}

func (s *sleeper) stop() { close(s.end); <-s.done }
