package srtlink

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/transport/srt"
)

// maxUnread bounds the payloads that wait to be read; what comes beyond is dropped and counted. 4 MiB are 8 s of 4 Mbit/s.
const maxUnread = 4 << 20

var errOnlyReceives = errors.New("srt: this connection only receives")

// ownLink is one connection as its reader sees it. The loop fills one buffer while the reader empties the other.
type ownLink struct {
	l    *ownListener
	conn *srt.Conn     // owned by the loop
	done chan struct{} // its function has returned

	serving sync.Mutex                                // held while sink runs; taken before mu
	sink    func(now time.Time, payload []byte) error // nil: payloads go to filled

	mu       sync.Mutex // guards what follows
	more     sync.Cond
	filled   []byte // payloads, each after its length in two bytes
	overrun  uint64 // payloads dropped because filled was full
	from     netip.AddrPort
	snapshot Stats
	taken    time.Time
	arrivals []srt.Arrival
	watched  bool // somebody wants arrivals
	err      error
	failed   error // of the sink

	reading []byte // owned by the reader
	spare   []byte
}

func newOwnLink(l *ownListener, c *srt.Conn, now time.Time) *ownLink {
	k := &ownLink{l: l, conn: c, from: l.real(c.Peer()), done: make(chan struct{}), taken: now, snapshot: statsOf(c.Stats(), 0)}
	k.more.L = &k.mu
	return k
}

// fill takes over what is due, and reports whether the reader is to be woken.
func (k *ownLink) fill(c *srt.Conn, now time.Time) bool {
	if k == nil {
		for _, ok := c.PopPayload(now); ok; _, ok = c.PopPayload(now) {
		}
		return false
	}
	sunk, failed := k.serve(c, now)
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.filled)
	switch {
	case failed != nil:
		k.failed = failed
		k.more.Signal()
	case !sunk:
		for b, ok := c.PopPayload(now); ok; b, ok = c.PopPayload(now) {
			if len(k.filled)+2+len(b) > maxUnread {
				k.overrun++
				continue
			}
			k.filled = binary.BigEndian.AppendUint16(k.filled, uint16(len(b)))
			k.filled = append(k.filled, b...)
		}
	}
	if now.Sub(k.taken) >= statsEvery {
		k.taken, k.snapshot, k.from = now, statsOf(c.Stats(), k.overrun), k.l.real(c.Peer())
		k.snapshot.Silent = c.Silence(now)
		k.snapshot.Links = k.l.linksOf(c, now)
		k.keepArrivals(c)
	}
	return len(k.filled) > n
}

// serve hands what is due to the sink; false: there is none.
func (k *ownLink) serve(c *srt.Conn, now time.Time) (sunk bool, err error) {
	k.serving.Lock()
	defer k.serving.Unlock()
	if k.sink == nil {
		return false, nil
	}
	for b, ok := c.PopPayload(now); ok; b, ok = c.PopPayload(now) {
		if err == nil {
			if err = k.sink(now, b); err != nil {
				k.sink = drained
			}
		}
	}
	return true, err
}

// drained takes what comes after a sink has failed or has been taken away.
func drained(time.Time, []byte) error { return nil }

// deliver implements Conn.Deliver.
func (k *ownLink) deliver(f func(now time.Time, payload []byte) error) error {
	attached := make(chan struct{})
	k.l.do(func(now time.Time) {
		defer close(attached)
		k.attach(now, f)
	})
	defer func() {
		k.serving.Lock()
		defer k.serving.Unlock()
		k.sink = drained
	}()
	select {
	case <-attached:
	case <-k.l.over:
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.err == nil && k.failed == nil {
		k.more.Wait()
	}
	switch {
	case k.failed != nil:
		return k.failed
	case errors.Is(k.err, srt.ErrShutdown):
		return io.EOF
	}
	return k.err
}

// attach gives a sink what has been filled, and from then on everything. It runs in the loop.
func (k *ownLink) attach(now time.Time, f func(now time.Time, payload []byte) error) {
	k.serving.Lock()
	defer k.serving.Unlock()
	if k.sink != nil {
		return
	}
	k.sink = f
	k.mu.Lock()
	waiting := k.filled
	k.filled = nil
	k.mu.Unlock()
	for len(waiting) > 0 {
		n := int(binary.BigEndian.Uint16(waiting))
		if err := f(now, waiting[2:2+n]); err != nil {
			k.sink = drained
			k.mu.Lock()
			k.failed = err
			k.more.Signal()
			k.mu.Unlock()
			return
		}
		waiting = waiting[2+n:]
	}
}

// end says that no more comes.
func (k *ownLink) end(s srt.Stats, err error) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.err, k.snapshot = err, statsOf(s, k.overrun)
		k.more.Signal()
	}
}

// Read waits for the next payload. The caller hanging up is io.EOF.
func (k *ownLink) Read(b []byte) (int, error) {
	if len(k.reading) == 0 {
		if err := k.swap(); err != nil {
			return 0, err
		}
	}
	n := int(binary.BigEndian.Uint16(k.reading))
	copied := copy(b, k.reading[2:2+n])
	k.reading = k.reading[2+n:]
	if copied < n {
		return copied, io.ErrShortBuffer
	}
	return n, nil
}

// swap waits until there is something and makes that what is read.
func (k *ownLink) swap() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.filled) == 0 {
		if errors.Is(k.err, srt.ErrShutdown) {
			return io.EOF
		}
		if k.err != nil {
			return k.err
		}
		k.more.Wait()
	}
	k.reading, k.filled, k.spare = k.filled, k.spare[:0], k.filled
	return nil
}

func (k *ownLink) Write([]byte) (int, error) { return 0, errOnlyReceives }

// Close ends the connection: what is not read is dropped, and the peer is told.
func (k *ownLink) Close() error {
	k.mu.Lock()
	ended := k.err != nil
	k.filled = k.filled[:0]
	if !ended {
		k.err = srt.ErrClosed
		k.more.Signal()
	}
	k.mu.Unlock()
	if !ended {
		k.l.do(func(time.Time) { k.conn.Close() })
	}
	return nil
}

func (k *ownLink) peer() netip.AddrPort {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.from
}

func (k *ownLink) stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.snapshot
	s.Silent += time.Since(k.taken)
	return s
}

func statsOf(s srt.Stats, overrun uint64) Stats {
	return Stats{
		Latency: s.Latency, Asked: s.Wanted, RTT: s.RTT, Received: s.Received, Retransmitted: s.Resent, Lost: s.Missing, Dropped: s.Skipped + overrun, Rebuilt: s.Rebuilt,
		Overrun: overrun,
		Belated: s.Drops[srt.DropBelated], Undecrypted: s.Drops[srt.DropUndecrypted], ReceivedBytes: s.ReceivedBytes,
	}
}

// linksOf says what the links of a caller are, if it uses several.
func (l *ownListener) linksOf(c *srt.Conn, now time.Time) (out []LinkStats) {
	for _, m := range c.Members(nil, now) {
		out = append(out, LinkStats{
			Peer: unmap(m.Peer), Kind: c.GroupType(), Weight: int(m.Weight), Active: m.Active, RTT: m.RTT,
			Received: m.Received, ReceivedBytes: m.ReceivedBytes, Retransmitted: m.Resent,
		})
	}
	for _, m := range l.front.Links(nil, now, c.Peer()) {
		out = append(out, LinkStats{
			Peer: unmap(m.Peer), Kind: "srtla", Active: m.Silent < time.Second, RTT: m.RTT, Received: m.Received, ReceivedBytes: m.Bytes,
		})
	}
	return out
}
