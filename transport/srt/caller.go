package srt

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/srt/filter"
)

// What ends a Caller besides ErrClosed.
var (
	ErrHungUp  = errors.New("srt: the listener hung up")
	ErrQuiet   = errors.New("srt: nothing heard of the listener for 5 s")
	ErrNobody  = errors.New("srt: no answer to the handshake")
	ErrOptions = errors.New("srt: bad options")
)

// RefusedError is a listener's answer to a handshake, or ours to a response that cannot be.
type RefusedError struct{ Code RejectCode }

func (e *RefusedError) Error() string { return "srt: refused: " + e.Code.String() }

// Relative as CallerConfig.MaxBW: the input's rate and Overhead percent.
const Relative congestion.Bitrate = -1

// CallerConfig sets up a Caller.
type CallerConfig struct {
	// Secret seeds the socket id, the first sequence number and the keys; it must come from a true random source.
	Secret     [32]byte
	StreamID   string
	Latency    time.Duration // asked of the listener, in whole ms; 120 ms. The larger of both sides' holds
	Passphrase string        // empty: unencrypted
	KeyLen     int           // of AES, bytes: 16, 24 or 32; 16
	GCM        bool          // AES-GCM as of SRT 1.5.4 instead of AES-CTR
	Filter     string        // packet filter to ask for, "fec,cols:10,rows:5…"; "fec": the listener's
	Timeout    time.Duration // of the handshake; 3 s

	// MaxBW is the most that is sent, with headers, resends and parity. 0: no limit, but bursts are spread out; Relative:
	// Overhead percent more than InputBW, or than what is measured when that is 0.
	MaxBW    congestion.Bitrate
	InputBW  congestion.Bitrate
	Overhead int // percent; 25, as libsrt's SRTO_OHEADBW
	// ResendShare is the most that resends may be of the media sent; 0.5.
	ResendShare float64
	// Single leaves out the second copy of a resend that is the last one that can come in time.
	Single bool

	MaxBuffered int // bytes of payloads; 16 MB
}

// anyFilter leaves the filter's shape to the listener.
const anyFilter = "fec"

// state of a Caller.
type state uint8

const (
	inducing state = iota
	concluding
	connected
	ended
)

// Constants of a caller.
const (
	handshakeEvery  = 250 * time.Millisecond // libsrt's caller
	handshakeWithin = 3 * time.Second        // libsrt SRTO_CONNTIMEO
	defaultLatency  = 120 * time.Millisecond // libsrt SRTO_LATENCY
	// filteredPayload is the longest payload when a filter is asked for: libsrt's packets of parity with longer ones
	// do not fit an Ethernet frame, and those with AES-GCM were seen to be damaged.
	filteredPayload = 1316
)

// Caller is the sending side of one connection: it calls a listener and sends. It belongs to one goroutine and follows the
// driving rule: after each input drain AppendDatagram, then sleep until NextTimeout.
//
// Memory: CallerConfig.MaxBuffered, and 72 bytes for each packet of it.
type Caller struct {
	cfg   CallerConfig
	epoch time.Time
	rand  *rand.Rand
	state state
	err   error

	id, them, isn uint32
	cookie        uint32
	again         time.Duration // the next handshake
	began         time.Duration // of the call
	concluded     time.Duration // the first conclusion
	repeated      bool          // more than one was sent
	km            []byte
	seal          *encryptor // nil: unencrypted

	latency   time.Duration
	tooLate   bool // the peer drops what is too late, and so do we
	fec       *filter.Sender
	filter    filter.Config
	filtered  bool // agreed on
	first     int64
	next      int64 // number of the next packet that is sent first
	acked     int64
	msgNo     uint32
	ring      sentRing
	queue     fifo
	pool      pool
	wanted    wanted
	copies    []copyAt
	rtt, rttV time.Duration
	rttShown  time.Duration // the variance that the steps of the round trips show
	least     rtt           // of the round trips: only its minimum counts
	sampled   bool
	window    int64 // packets the peer has room for
	pace      congestion.Pacer
	pairing   bool // the last packet sent first was the first of a probing pair
	parity    []filter.Control
	budget    int // bytes of resends
	input     inputRate
	rto       time.Duration // when the head of what is in flight is resent unasked; forever: not
	ackacks   []uint32
	dropFrom  int64 // numbers a DROPREQ is due for; dropTo below it: none
	dropTo    int64
	heard     time.Duration
	spoke     time.Duration
	shutdowns int
	scratch   []byte
	stats     CallerStats
	hs        handshake // scratch
}

// Validate names what cannot work; its errors wrap ErrOptions.
func (c *CallerConfig) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrOptions}, args...)...)
	}
	switch n := len(c.Passphrase); {
	case n > 0 && (n < 10 || n > 79):
		return bad("passphrase of %d characters; SRT wants 10 to 79", n)
	case c.KeyLen != 0 && c.KeyLen != 16 && c.KeyLen != 24 && c.KeyLen != 32:
		return bad("key of %d bytes; AES has 16, 24 or 32", c.KeyLen)
	case c.GCM && n == 0:
		return bad("AES-GCM needs a passphrase")
	case len(c.StreamID) > maxStreamID:
		return bad("stream id of %d bytes; SRT has 512 at most", len(c.StreamID))
	case c.Latency < 0 || c.Latency > time.Minute:
		return bad("latency %v is outside 0s to 1m", c.Latency)
	case c.Overhead < 0 || c.Overhead > 500:
		return bad("overhead of %d %%", c.Overhead)
	case c.MaxBW < Relative || c.InputBW < 0:
		return bad("a negative rate")
	case c.ResendShare < 0:
		return bad("a negative share of resends")
	}
	if c.Filter != "" && c.Filter != anyFilter {
		if _, err := filter.Parse(c.Filter); err != nil {
			return fmt.Errorf("%w: %w", ErrOptions, err)
		}
	}
	return nil
}

// NewCaller makes one that calls at once.
func NewCaller(cfg CallerConfig) (*Caller, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Latency == 0 {
		cfg.Latency = defaultLatency
	}
	if cfg.KeyLen == 0 {
		cfg.KeyLen = 16
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = handshakeWithin
	}
	if cfg.Overhead == 0 {
		cfg.Overhead = 25
	}
	if cfg.ResendShare == 0 {
		cfg.ResendShare = 0.5
	}
	if cfg.MaxBuffered == 0 {
		cfg.MaxBuffered = 16 << 20
	}
	c := &Caller{
		cfg: cfg, rand: rand.New(rand.NewChaCha8(cfg.Secret)), pool: pool{max: min(cfg.MaxBuffered/maxDatagram, MaxRing-1)},
		rtt: initialRTT, rttV: initialRTTVar, latency: cfg.Latency, tooLate: true, window: flowWindow, rto: forever, dropTo: -1,
	}
	c.id = c.rand.Uint32()&(1<<30-1) | 1
	c.isn = c.rand.Uint32() & maxSeq
	c.first = int64(c.isn) + 1<<31
	c.next, c.acked = c.first, c.first
	c.wanted.low = forever64
	c.budget = budgetLeast
	if cfg.Passphrase != "" {
		var err error
		if c.seal, err = newEncryptor(cfg.Passphrase, cfg.KeyLen, cfg.GCM, c.rand); err != nil {
			return nil, err
		}
		c.km = c.seal.message(nil)
	}
	return c, nil
}

// at turns a time into the time since the first one told, and one, so that 0 is never.
func (c *Caller) at(now time.Time) time.Duration {
	if c.epoch.IsZero() {
		c.epoch = now.Add(-1)
		c.began = 1
	}
	return now.Sub(c.epoch)
}

// Connected reports whether the handshake is done and the connection stands.
func (c *Caller) Connected() bool { return c.state == connected }

// Err is nil until the connection has ended or could not be made: ErrClosed, ErrHungUp, ErrQuiet, ErrNobody or a *RefusedError.
func (c *Caller) Err() error {
	if c.state == ended && c.shutdowns == 0 {
		return c.err
	}
	return nil
}

// Close ends the connection and tells the peer: drain AppendDatagram once more.
func (c *Caller) Close() {
	if c.state == connected {
		c.shutdowns = 2 // one may be lost, and the peer would wait for 5 s
	}
	c.end(ErrClosed)
}

func (c *Caller) end(err error) {
	if c.state != ended {
		c.state, c.err = ended, err
	}
}

// Latency is what was agreed on, or before that is asked for.
func (c *Caller) Latency() time.Duration { return c.latency }

// HandleDatagram takes a datagram of the peer, borrowed. The shell has seen to it that it comes from the peer's address.
func (c *Caller) HandleDatagram(now time.Time, b []byte) {
	t := c.at(now)
	h, body, ok := ParseHeader(b)
	switch {
	case !ok:
		c.stats.Drops[DropMalformed]++
	case h.Dest != c.id || c.state == ended:
		c.stats.Drops[DropNoConn]++
	case !h.Control:
		c.stats.Drops[DropUnknown]++ // we only send
	case h.Type == Handshake:
		c.answered(t, body)
	case c.state != connected:
		c.stats.Drops[DropNoConn]++
	default:
		c.heard = t
		c.control(t, &h, body)
	}
}

func (c *Caller) control(now time.Duration, h *Header, body []byte) {
	switch h.Type {
	case ACK:
		c.acknowledged(now, h.Info, body)
	case NAK:
		c.asked(now, body)
	case Shutdown:
		c.end(ErrHungUp)
	case User:
		if h.Subtype != extKMRsp || c.seal == nil {
			c.stats.Drops[DropUnknown]++
			return
		}
		c.seal.confirmed(body)
	case Keepalive, Congestion, PeerError, ACKACK, DropReq:
	default:
		c.stats.Drops[DropUnknown]++
	}
}
