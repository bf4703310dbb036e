package srtlink

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/srt"
	"github.com/fairlead-live/fairlead/transport/srt/adapt"
	"github.com/fairlead-live/fairlead/transport/udp"
)

// Constants of a caller's loop; ours.
const (
	// maxUnpushed bounds what Write has taken and the loop has not, bytes; what comes beyond is dropped and counted.
	maxUnpushed = 4 << 20
	// movedAfter is how long nothing is heard until the loop looks whether this machine has another address by now, and
	// movedEvery how often.
	movedAfter = 500 * time.Millisecond
	movedEvery = 500 * time.Millisecond
	// Bounds of the encoder's target.
	leastTarget = 300 * congestion.Kbps
	mostTarget  = 50 * congestion.Mbps
)

var errOnlySends = errors.New("srt: this connection only sends")

// call is a connection of our caller. One goroutine owns the socket and the core; Write hands it payloads.
type call struct {
	addr   string
	core   *srt.Caller // owned by the loop, with what follows
	watch  adapt.Watch
	into   []byte
	out    []byte
	looked time.Time
	taken  time.Time
	done   chan struct{} // the loop has ended

	mu       sync.Mutex // guards what follows
	conn     *net.UDPConn
	todo     []byte // payloads, each after its length in two bytes
	spare    []byte
	woken    bool
	closing  bool
	up       chan struct{} // closed when it is connected or has failed
	isUp     bool
	err      error
	overrun  uint64
	snapshot Stats
}

// callOwn connects, or says why not.
func callOwn(addr string, cfg DialConfig) (*call, error) {
	sc := cfg.caller()
	rand.Read(sc.Secret[:])
	core, err := srt.NewCaller(sc)
	if err != nil {
		return nil, err
	}
	conn, err := dialUDP(addr)
	if err != nil {
		return nil, err
	}
	k := &call{addr: addr, core: core, conn: conn, into: make([]byte, 2048), done: make(chan struct{}), up: make(chan struct{})}
	k.watch.Rule = adapt.NewDelay(adapt.Range{Min: leastTarget, Max: mostTarget})
	go k.run()
	<-k.up
	err = k.failed()
	if refused, ok := errors.AsType[*srt.RefusedError](err); ok {
		err = &Rejection{Code: uint32(refused.Code), Reason: refusal(refused.Code)}
	}
	if err != nil {
		<-k.done
		return nil, err
	}
	return k, nil
}

func dialUDP(addr string) (*net.UDPConn, error) {
	to, err := net.ResolveUDPAddr("udp", addr) // of several addresses an IPv4 one: listeners on all addresses have that
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Control: udp.Control}
	c, err := d.Dial("udp", to.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

func (k *call) failed() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// run is the loop. It ends when the connection has.
func (k *call) run() {
	defer close(k.done)
	defer func() { _ = k.socket().Close() }()
	for {
		now := time.Now() // the one clock read of this wake-up
		k.push(now)
		for b, ok := k.core.AppendDatagram(k.out[:0], now); ok; b, ok = k.core.AppendDatagram(k.out[:0], now) {
			k.out = b
			_, _ = k.socket().Write(b) // what the socket does not take is lost, as on the way
		}
		if k.report(now) {
			return
		}
		k.arm(now)
		n, err := k.socket().Read(k.into)
		switch {
		case err == nil:
			k.core.HandleDatagram(time.Now(), k.into[:n])
		case errors.Is(err, os.ErrDeadlineExceeded):
			k.move(now)
		default:
			time.Sleep(tick) // nobody listens there, says ICMP; the handshake's timeout decides
		}
	}
}

// push gives the core what Write has taken.
func (k *call) push(now time.Time) {
	k.mu.Lock()
	todo, closing := k.todo, k.closing
	k.todo, k.spare, k.woken = k.spare[:0], todo, false
	k.mu.Unlock()
	for len(todo) > 0 {
		n := int(binary.BigEndian.Uint16(todo))
		k.core.Push(now, todo[2:2+n])
		todo = todo[2+n:]
	}
	if closing {
		k.core.Close()
	}
}

// report shows the world how the connection does, and says whether it has ended.
func (k *call) report(now time.Time) bool {
	err := k.core.Err()
	target := k.watch.Update(now, k.core)
	backlog := k.core.Backlog(now)
	k.mu.Lock()
	defer k.mu.Unlock()
	up := !k.isUp && (k.core.Connected() || err != nil)
	if up || err != nil || now.Sub(k.taken) >= statsEvery {
		k.taken = now
		s := k.core.Stats()
		k.snapshot = callStats(&s, k.overrun)
		k.snapshot.Target = target
	}
	k.snapshot.Backlog = backlog
	if err != nil && k.err == nil {
		k.err = err
	}
	if up {
		k.isUp = true
		close(k.up)
	}
	return err != nil
}

// arm sets the read deadline to when the core wants to be driven.
func (k *call) arm(now time.Time) {
	next := k.core.NextTimeout()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.woken {
		return
	}
	if look := now.Add(movedEvery); look.Before(next) {
		next = look
	}
	if soon := now.Add(tick / 2); next.Before(soon) {
		next = soon // one in the past would not read at all
	}
	_ = k.conn.SetReadDeadline(next)
}

func (k *call) socket() *net.UDPConn {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.conn
}

// move goes on from another socket when this machine's address on the way to the peer has changed: the old one reaches nobody.
// A listener that follows a caller to its new address keeps the connection.
func (k *call) move(now time.Time) {
	if !k.core.Connected() || k.core.Silence(now) < movedAfter || now.Sub(k.looked) < movedEvery {
		return
	}
	k.looked = now
	fresh, err := dialUDP(k.addr)
	if err != nil {
		return
	}
	old := k.socket()
	if fresh.LocalAddr().(*net.UDPAddr).IP.Equal(old.LocalAddr().(*net.UDPAddr).IP) {
		_ = fresh.Close()
		return
	}
	k.mu.Lock()
	k.conn = fresh
	k.mu.Unlock()
	_ = old.Close()
}

// Write takes a copy of one payload and returns at once.
func (k *call) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.err != nil:
		return 0, k.err
	case len(b) > MaxPayload:
		return 0, fmt.Errorf("srt: a payload of %d bytes; %d is the most", len(b), MaxPayload)
	case len(k.todo)+2+len(b) > maxUnpushed:
		k.overrun++
		return len(b), nil
	}
	k.todo = binary.BigEndian.AppendUint16(k.todo, uint16(len(b)))
	k.todo = append(k.todo, b...)
	k.wake()
	return len(b), nil
}

// wake is called with mu held.
func (k *call) wake() {
	if !k.woken {
		k.woken = true
		_ = k.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (k *call) Read([]byte) (int, error) { return 0, errOnlySends }

// Close tells the peer and waits for the loop.
func (k *call) Close() error {
	k.mu.Lock()
	if k.err == nil {
		k.err = srt.ErrClosed
	}
	k.closing = true
	k.wake()
	k.mu.Unlock()
	<-k.done
	return nil
}

func (k *call) peer() netip.AddrPort { return addrPort(k.socket().RemoteAddr()) }

func (k *call) stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.snapshot
}

func callStats(s *srt.CallerStats, overrun uint64) Stats {
	all := s.Sent + s.Resent + s.Parity
	return Stats{
		Latency: s.Latency, RTT: s.RTT, Sent: s.Sent, Resent: s.Resent, Parity: s.Parity, Filter: s.Filter,
		SentBytes: s.SentBytes + s.ResentBytes + s.ParityBytes + all*srt.HeaderLen,
		Unsent:    s.Unsent + s.NoRoom + s.TooLong + s.Refused + overrun, GivenUp: s.Dropped, Unacked: s.Queued + s.InFlight, Queue: s.RTT - s.Least,
	}
}

// caller is the core's configuration.
func (c *DialConfig) caller() srt.CallerConfig {
	return srt.CallerConfig{
		StreamID: c.StreamID, Latency: c.Latency, Passphrase: c.Passphrase, KeyLen: c.KeyLen, GCM: c.GCM, Filter: c.Filter, Timeout: c.Timeout,
		MaxBW: c.MaxBW, InputBW: c.InputBW, Overhead: c.Overhead, ResendShare: cmp.Or(c.ResendShare, 0.5),
	}
}
