package srtlink

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	srt "github.com/datarhei/gosrt"

	"github.com/fairlead-live/fairlead/congestion"
)

// Conn is one SRT connection. Read is for one goroutine, Write for one; Close may be called twice and from anywhere.
type Conn struct {
	link link
	once sync.Once
	err  error
}

// link is a connection of one of the implementations.
type link interface {
	Read(b []byte) (int, error)
	Write(b []byte) (int, error)
	Close() error
	peer() netip.AddrPort
	stats() Stats
}

// deliverer is a link that can deliver without a reader of its own.
type deliverer interface {
	deliver(f func(now time.Time, payload []byte) error) error
}

// Read reads the payload of one packet; b should hold MaxPayload bytes.
func (c *Conn) Read(b []byte) (int, error) { return c.link.Read(b) }

// Deliver hands each payload to f when it is due, until the connection ends (io.EOF: the caller hung up) or f returns an error, and
// returns which. f borrows the payload; now is when the loop woke up. On a connection of our listener f runs in the listener's
// own goroutine, which spares waking a reader for every packet: half the CPU time of the listener. It must not wait for anything.
// It is used in place of Read, from one goroutine, and f is not running any more when it returns.
func (c *Conn) Deliver(f func(now time.Time, payload []byte) error) error {
	if d, ok := c.link.(deliverer); ok {
		return d.deliver(f)
	}
	b := make([]byte, MaxPayload)
	for {
		n, err := c.Read(b)
		if err == nil {
			err = f(time.Now(), b[:n])
		}
		if err != nil {
			return err
		}
	}
}

// Write sends b as packets. It takes a copy. A connection of our listener only receives.
func (c *Conn) Write(b []byte) (int, error) { return c.link.Write(b) }

// Close ends the connection and tells the peer.
func (c *Conn) Close() error {
	c.once.Do(func() { c.err = c.link.Close() })
	return c.err
}

// Peer returns the peer's address.
func (c *Conn) Peer() netip.AddrPort { return c.link.peer() }

// Stats is a snapshot of a connection: what was received = what was delivered + belated + undecryptable.
type Stats struct {
	Latency       time.Duration // negotiated: the larger of ours and the peer's
	Asked         time.Duration // what the peer of our listener asked for
	RTT           time.Duration
	Received      uint64 // packets, with retransmissions
	Retransmitted uint64 // of these
	Lost          uint64 // packets found missing at first
	Dropped       uint64 // too late to deliver: these are holes in the stream
	Belated       uint64 // arrived after their time
	Undecrypted   uint64
	Overrun       uint64        // of Dropped, because nobody read them
	Silent        time.Duration // since anything came of our listener's caller, control packets included
	Rebuilt       uint64        // by parity
	ReceivedBytes uint64
	Links         []LinkStats // of a caller that uses several: SRTLA, or a group of libsrt
	Sent          uint64
	SentBytes     uint64
	Resent        uint64

	// Of our caller only. SentBytes then counts SRT headers, resends and parity.
	Parity  uint64             // packets
	Filter  string             // packet filter agreed on
	Unsent  uint64             // payloads dropped before they were sent: too late, or no room
	GivenUp uint64             // packets not acknowledged in time
	Unacked int                // packets not acknowledged yet, sent or not
	Backlog time.Duration      // how long a payload that is written now waits before it is sent
	Queue   time.Duration      // on the way: what the round trip has above its least
	Target  congestion.Bitrate // what the path carries, as a bitrate for the encoder
}

// LinkStats is one link of several.
type LinkStats struct {
	Peer          netip.AddrPort
	Kind          string        // "srtla", "broadcast" or "backup"
	Weight        int           // of a group's member
	Active        bool          // it carries something now
	RTT           time.Duration // 0: an SRTLA sender that does not tell
	Received      uint64        // packets
	ReceivedBytes uint64
	Retransmitted uint64 // a group's: of these
}

// Stats reads the counters. Those of a listener or a caller of ours are up to statsEvery old.
func (c *Conn) Stats() Stats { return c.link.stats() }

// Own says that it is a connection of our listener, which knows more than gosrt's: Asked, Silent.
func (c *Conn) Own() bool {
	_, ok := c.link.(*ownLink)
	return ok
}

// gosrtLink is a connection of gosrt.
type gosrtLink struct{ srt.Conn }

func (c gosrtLink) peer() netip.AddrPort { return addrPort(c.RemoteAddr()) }

func (c gosrtLink) stats() Stats {
	var s srt.Statistics
	c.Conn.Stats(&s)
	a := &s.Accumulated
	return Stats{
		Latency:  time.Duration(s.Instantaneous.MsRecvTsbPdDelay) * time.Millisecond,
		RTT:      time.Duration(s.Instantaneous.MsRTT * float64(time.Millisecond)),
		Received: a.PktRecv, Retransmitted: a.PktRecvRetrans, Lost: a.PktRecvLoss, Dropped: a.PktRecvDrop,
		Belated: a.PktRecvBelated, Undecrypted: a.PktRecvUndecrypt, ReceivedBytes: a.ByteRecv,
		Sent: a.PktSent, SentBytes: a.ByteSent, Resent: a.PktRetrans,
	}
}

// DialConfig sets up a caller.
type DialConfig struct {
	StreamID   string
	Latency    time.Duration // asked of the receiver; DefaultLatency
	Passphrase string
	Timeout    time.Duration // to connect; 3 s
	Caller     string        // Own, which only sends, or GoSRT, which can also receive; empty: Own

	// Of Own only; see srt.CallerConfig.
	KeyLen         int
	GCM            bool
	Filter         string
	MaxBW, InputBW congestion.Bitrate
	Overhead       int
	ResendShare    float64
}

// Validate names the field that cannot work.
func (c *DialConfig) Validate() error {
	if c.Caller != "" && c.Caller != Own && c.Caller != GoSRT {
		return fmt.Errorf("srt caller: %q is neither %q nor %q", c.Caller, Own, GoSRT)
	}
	core := c.caller()
	return core.Validate()
}

// Dial calls an SRT listener at addr (host:port). The error wraps a *Rejection when the listener turned us away.
func Dial(addr string, cfg DialConfig) (*Conn, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Latency = cmp.Or(cfg.Latency, DefaultLatency)
	var k link
	var err error
	if cfg.Caller == GoSRT {
		k, err = callGoSRT(addr, cfg)
	} else {
		k, err = callOwn(addr, cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("srt: call %s: %w", addr, err)
	}
	return &Conn{link: k}, nil
}

func callGoSRT(addr string, cfg DialConfig) (link, error) {
	sc := srt.DefaultConfig()
	sc.StreamId = cfg.StreamID
	sc.Passphrase = cfg.Passphrase
	sc.ReceiverLatency, sc.PeerLatency = cfg.Latency, cfg.Latency
	if cfg.Timeout > 0 {
		sc.ConnectionTimeout = cfg.Timeout
	}
	conn, err := srt.Dial("srt", addr, sc)
	if code, ok := rejectionCode(err); ok {
		return nil, &Rejection{Code: code, Reason: codeText(code)}
	}
	if err != nil {
		return nil, err
	}
	return gosrtLink{conn}, nil
}

// rejectionCode reads the code out of gosrt's error, which prints it in base 32 and gives it no other way.
func rejectionCode(err error) (uint32, bool) {
	if err == nil {
		return 0, false
	}
	_, s, ok := strings.Cut(err.Error(), "REJECT (")
	if !ok {
		return 0, false
	}
	s, _, _ = strings.Cut(s, ")")
	n, err := strconv.ParseUint(s, 32, 32)
	return uint32(n), err == nil
}
