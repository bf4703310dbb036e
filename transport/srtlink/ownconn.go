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

	mu       sync.Mutex // guards what follows
	more     sync.Cond
	filled   []byte // payloads, each after its length in two bytes
	overrun  uint64 // payloads dropped because filled was full
	heard    time.Time
	received uint64
	from     netip.AddrPort
	snapshot Stats
	taken    time.Time
	err      error

	reading []byte // owned by the reader
	spare   []byte
}

func newOwnLink(l *ownListener, c *srt.Conn, now time.Time) *ownLink {
	k := &ownLink{l: l, conn: c, from: l.real(c.Peer()), done: make(chan struct{}), heard: now, taken: now, snapshot: statsOf(c.Stats(), 0)}
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
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.filled)
	for b, ok := c.PopPayload(now); ok; b, ok = c.PopPayload(now) {
		if len(k.filled)+2+len(b) > maxUnread {
			k.overrun++
			continue
		}
		k.filled = binary.BigEndian.AppendUint16(k.filled, uint16(len(b)))
		k.filled = append(k.filled, b...)
	}
	if got := c.Received(); got != k.received {
		k.received, k.heard = got, now
	}
	if now.Sub(k.taken) >= statsEvery {
		k.taken, k.snapshot, k.from = now, statsOf(c.Stats(), k.overrun), k.l.real(c.Peer())
	}
	return len(k.filled) > n
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

// quietFor is how long no data has come.
func (k *ownLink) quietFor(now time.Time) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return now.Sub(k.heard)
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
	return k.snapshot
}

func statsOf(s srt.Stats, overrun uint64) Stats {
	return Stats{
		Latency: s.Latency, RTT: s.RTT, Received: s.Received, Retransmitted: s.Resent, Lost: s.Missing, Dropped: s.Skipped + overrun,
		Belated: s.Drops[srt.DropBelated], Undecrypted: s.Drops[srt.DropUndecrypted], ReceivedBytes: s.ReceivedBytes,
	}
}
