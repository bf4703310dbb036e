package emu

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A probe is a stream of datagrams from a sender that stamps them to a receiver that reads when the kernel got them, so
// that neither Go's scheduler nor a busy receiver counts as the link's delay.
type probe struct {
	tx, rx int // sockets
	to     netip.AddrPort
	size   int // of the payload
}

// probeHeader is the least payload: number and send time.
const probeHeader = 16

// arrivals is what a probe found.
type arrivals struct {
	sent  int
	delay []time.Duration // of each datagram that came, in order of arrival
	at    []time.Duration // when it came, on the machine's clock
}

// run sends n datagrams, pps a second, and waits for the last ones for the time of patience.
func (p *probe) run(n, pps int, patience time.Duration) (*arrivals, error) {
	if err := unix.SetsockoptInt(p.rx, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return nil, fmt.Errorf("emu: receive times: %w", err)
	}
	a := &arrivals{sent: n}
	var end atomic.Bool
	done := make(chan error, 1)
	go func() { done <- p.collect(a, &end) }()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, undo := precise()
	defer undo()
	b := make([]byte, max(p.size, probeHeader))
	to := sockaddr(p.to)
	begin := time.Now()
	for i := range n {
		sleepPrecisely(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(pps))))
		binary.BigEndian.PutUint64(b, uint64(i))
		binary.BigEndian.PutUint64(b[8:], uint64(realtimeClock()))
		if err := unix.Sendto(p.tx, b, 0, to); err != nil && err != unix.EAGAIN && err != unix.ENOBUFS {
			end.Store(true)
			<-done
			return nil, fmt.Errorf("emu: probe: %w", err)
		}
	}
	time.Sleep(patience)
	end.Store(true)
	return a, <-done
}

func (p *probe) collect(a *arrivals, end *atomic.Bool) error {
	b := make([]byte, 1<<16)
	oob := make([]byte, 256)
	timeout := unix.NsecToTimespec(int64(20 * time.Millisecond))
	fds := []unix.PollFd{{Fd: int32(p.rx), Events: unix.POLLIN}}
	for !end.Load() {
		if _, err := unix.Ppoll(fds, &timeout, nil); err != nil && err != unix.EINTR {
			return err
		}
		for {
			n, oobn, _, _, err := unix.Recvmsg(p.rx, b, oob, unix.MSG_DONTWAIT)
			if err != nil || n < probeHeader {
				break
			}
			at := realtimeClock()
			if msgs, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil && len(msgs) > 0 && len(msgs[0].Data) >= 16 {
				d := msgs[0].Data
				at = time.Duration(binary.NativeEndian.Uint64(d))*time.Second + time.Duration(binary.NativeEndian.Uint64(d[8:]))
			}
			a.at = append(a.at, at)
			a.delay = append(a.delay, at-time.Duration(binary.BigEndian.Uint64(b[8:])))
		}
	}
	return nil
}

func realtimeClock() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_REALTIME, &ts)
	return time.Duration(ts.Nano())
}

func sleepPrecisely(d time.Duration) {
	if d > 0 {
		ts := unix.NsecToTimespec(int64(d))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
	}
}

// quantileOf sorts ds.
func quantileOf(ds []time.Duration, q float64) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	slices.Sort(ds)
	return ds[int(q*float64(len(ds)-1))]
}

// flood sends as fast as it can for d, and returns how many datagrams a second came out.
func (p *probe) flood(d time.Duration) float64 {
	var end atomic.Bool
	var got uint64
	var begin, last time.Time
	done := make(chan struct{})
	go func() {
		defer close(done)
		var pool pool
		var packets [udpBatch]*packet
		var in datagrams
		timeout := unix.NsecToTimespec(int64(20 * time.Millisecond))
		fds := []unix.PollFd{{Fd: int32(p.rx), Events: unix.POLLIN}}
		for !end.Load() {
			if n, err := in.receive(p.rx, &pool, &packets); err == nil {
				if last = time.Now(); got == 0 {
					begin = last
				}
				got += uint64(n)
			} else {
				_, _ = unix.Ppoll(fds, &timeout, nil)
			}
		}
	}()
	var packets [udpBatch]*packet
	for i := range packets {
		packets[i] = &packet{data: make([]byte, p.size)}
	}
	var out datagrams
	to := func(*packet) netip.AddrPort { return p.to }
	for stop := time.Now().Add(d); time.Now().Before(stop); {
		out.send(p.tx, packets[:], to)
	}
	time.Sleep(50 * time.Millisecond)
	end.Store(true)
	<-done
	if got == 0 || !last.After(begin) {
		return 0
	}
	return float64(got) / last.Sub(begin).Seconds()
}
