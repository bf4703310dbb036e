package emu

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// A Pair is two network namespaces joined by a link that this process carries. Any program, kernel TCP included,
// crosses it. Its methods may be called from anywhere, Forward before anything crosses.
type Pair struct {
	config   Config
	ns       [2]*namespace
	tun      [2]int
	index    [2]int
	carrier  *carrier
	verdicts *verdictWriter
	pool     pool
	path     uint32 // of the near side, as last seen
	state    string // the record's file
	forwards []*forwarder

	close sync.Once
	err   error // of Close
}

// NewPair makes both namespaces and starts the link. It needs Linux, /dev/net/tun, CAP_NET_ADMIN and CAP_SYS_ADMIN
// (root has them; ErrNotPermitted says what is missing), and removes what killed links left behind first.
func NewPair(config Config) (_ *Pair, err error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if _, err := RemoveLeftovers(); err != nil {
		return nil, err
	}
	p := &Pair{config: config, tun: [2]int{-1, -1}}
	defer func() {
		if err != nil {
			p.tearDown()
			if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
				err = fmt.Errorf("%w: %w", ErrNotPermitted, err)
			}
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("%w: %w", ErrUnsupported, err)
			}
			err = fmt.Errorf("emu: namespace link: %w", err)
		}
	}()
	rec, err := newRecord()
	if err != nil {
		return nil, err
	}
	for side := range p.ns {
		if p.ns[side], err = newNamespace(); err != nil {
			return nil, err
		}
		rec.Namespaces = append(rec.Namespaces, p.ns[side].ino)
	}
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	if p.state, err = rec.write(dir); err != nil {
		return nil, err
	}
	mtu := config.MTU
	if mtu == 0 {
		mtu = 1500
	}
	for side, ns := range p.ns {
		s := Side(side)
		if p.tun[side], p.index[side], err = ns.openTun(mtu, rec.Mark, netip.PrefixFrom(p.Addr(s), 24), netip.PrefixFrom(p.Addr6(s), 64)); err != nil {
			return nil, err
		}
		if config.CongestionControl != "" {
			set := func() error { return sysctl("net/ipv4/tcp_congestion_control", config.CongestionControl) }
			if err := ns.do(set); err != nil {
				return nil, err
			}
		}
	}
	return p, p.carry()
}

// carry starts the loop.
func (p *Pair) carry() (err error) {
	if p.carrier, err = newCarrier(); err != nil {
		return err
	}
	c := p.carrier
	for _, fd := range p.tun {
		if err := c.watch(fd); err != nil {
			return err
		}
	}
	c.receive, c.deliver = p.receive, p.deliver
	if p.config.Verdicts != nil {
		p.verdicts = newVerdictWriter(p.config.Verdicts)
	}
	p.pool.prefault(prefaulted)
	p.fresh(p.config.Seed)
	go c.run()
	return nil
}

// fresh gives both directions a link at time 0. It runs on the loop, or before it.
func (p *Pair) fresh(seed uint64) {
	p.path = 0
	p.carrier.lanes, p.carrier.start = newLanes(&p.config, seed, &p.pool, p.verdicts, ipKind{}, 0), time.Now()
}

// Restart begins a new link on the same namespaces: packet number 0, time 0, counters 0, nothing on its way.
// So a run's servers start first, and the schedule when the media does.
func (p *Pair) Restart(seed uint64) { p.carrier.call(func() { p.fresh(seed) }) }

// Addr is a side's IPv4 address. It is the same in every Pair: namespaces keep them apart.
func (p *Pair) Addr(side Side) netip.Addr {
	if side == Near {
		return nearAddr(0, false)
	}
	return farAddr(false)
}

// Addr6 is a side's IPv6 address, where the kernel has IPv6.
func (p *Pair) Addr6(side Side) netip.Addr {
	if side == Near {
		return nearAddr(0, true)
	}
	return farAddr(true)
}

// Do runs f on a thread inside the side's namespace: sockets that f opens belong there and may be used from anywhere.
// It must not start goroutines that open sockets. One f at a time for each side.
func (p *Pair) Do(side Side, f func() error) error { return p.ns[side].do(f) }

// Command is a command that will run in the side's namespace, in a process group of its own, and is killed when this
// process dies. It goes through nsenter (util-linux), which then becomes the program: same process ID.
func (p *Pair) Command(side Side, name string, args ...string) *exec.Cmd {
	path, lookErr := exec.LookPath(name)
	cmd := exec.Command("nsenter", append([]string{"--net=" + p.ns[side].path(), "--", path}, args...)...)
	if lookErr != nil {
		cmd.Err = lookErr
	}
	OwnGroup(cmd)
	return cmd
}

// Counters of near → far and far → near, since the start or Restart.
func (p *Pair) Counters() (up, down Counters) {
	p.carrier.call(func() { up, down = p.carrier.lanes[netem.Up].snapshot(), p.carrier.lanes[netem.Down].snapshot() })
	up.HostDropped, down.HostDropped = p.txDropped(Near), p.txDropped(Far)
	return up, down
}

// txDropped is what the kernel dropped because a side's TUN queue was full, since the start of the pair.
func (p *Pair) txDropped(side Side) (n uint64) {
	_ = p.ns[side].do(func() error {
		r, err := openRtnl()
		if err != nil {
			return err
		}
		defer r.close()
		n, err = r.txDropped(p.index[side])
		return err
	})
	return n
}

// Realtime says whether the carrying thread got real-time priority (CAP_SYS_NICE).
func (p *Pair) Realtime() (ok bool) {
	p.carrier.call(func() { ok = p.carrier.realtime })
	return ok
}

// Close ends every process in the namespaces, the link and the namespaces. It may be called twice; Counters and Do
// must not be called after it. It returns the error of writing verdicts, if any.
func (p *Pair) Close() error {
	p.close.Do(func() { p.err = p.tearDown() })
	return p.err
}

func (p *Pair) tearDown() error {
	for _, f := range p.forwards {
		f.close()
	}
	for _, ns := range p.ns {
		if ns == nil || ns.file == nil {
			continue
		}
		for _, pid := range processesIn(ns.ino) {
			if pid != os.Getpid() {
				_, _ = endIn(pid, ns.ino, nil)
			}
		}
	}
	if p.carrier != nil && p.carrier.deliver != nil {
		p.carrier.stop()
	}
	for _, fd := range p.tun {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	for _, ns := range p.ns {
		if ns != nil {
			ns.close()
		}
	}
	if p.state != "" {
		_ = os.Remove(p.state)
	}
	if p.verdicts != nil {
		return p.verdicts.Close()
	}
	return nil
}

// receive reads a batch from the side whose device is fd.
func (p *Pair) receive(fd int32) {
	c := p.carrier
	l := c.lanes[netem.Up]
	if fd == int32(p.tun[Far]) {
		l = c.lanes[netem.Down]
	}
	for range maxBatch {
		k := p.pool.get()
		if cap(k.data) < p.mtu() {
			k.data = make([]byte, 0, p.mtu())
		}
		n, err := readFD(int(fd), k.data[:cap(k.data)])
		if err != nil {
			p.pool.put(k)
			return
		}
		k.data = k.data[:n]
		l.admit(c.now(), k)
	}
}

func (p *Pair) mtu() int { return max(p.config.MTU, 1500) }

// deliver writes what is due in one direction.
func (p *Pair) deliver(dir int) (sent int) {
	c := p.carrier
	l := c.lanes[dir]
	to := p.tun[1-dir]
	for ; sent < maxBatch; sent++ {
		k := l.pop(c.now())
		if k == nil {
			break
		}
		switch {
		case dir == int(netem.Up):
			p.path = max(p.path, k.path)
			if k.path != 0 {
				setAddr(k.data, source, nearAddr(k.path, k.data[0]>>4 == 6))
			}
		case !p.arrives(k):
			l.unsend(k)
			l.c.OldAddress++
			continue
		}
		if _, err := writeFD(to, k.data); err != nil {
			l.c.SendErrors++
		}
		p.pool.put(k)
	}
	return sent
}

// arrives says whether a packet to the near side goes to the address it has now, and gives it the one it always had
// inside: after a handover the near side sits behind a NAT that knows only the newest address.
func (p *Pair) arrives(k *packet) bool {
	if p.path == 0 {
		return true
	}
	to := addrOf(k.data, destination)
	if !to.IsValid() || to != nearAddr(p.path, to.Is6()) {
		return false
	}
	setAddr(k.data, destination, nearAddr(0, to.Is6()))
	return true
}

// ipKind is a packet that begins with its IP header.
type ipKind struct{}

func (ipKind) ect(k *packet) bool { return isECT(k.data) }
func (ipKind) mark(k *packet)     { setCE(k.data) }

func (ipKind) corrupt(k *packet, bit int) bool {
	if bit/8 < len(k.data) {
		k.data[bit/8] ^= 0x80 >> (bit % 8)
	}
	return true
}
