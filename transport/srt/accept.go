package srt

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-live/fairlead/transport/srt/filter"
)

// Request is a caller that has proved its address and waits for a decision.
type Request struct {
	StreamID  string
	Peer      netip.AddrPort
	Encrypted bool
	// Replaces is who had the stream, the same caller's connection of before or a silent one that yields: it has ended and
	// flushes what it holds. nil: nobody, or somebody who keeps it.
	Replaces *Conn

	key      peerKey
	conn     *Conn
	response handshake
	done     bool
	rival    *Conn // has the stream, and is waited for until then
	until    time.Duration
}

// cookie proves that a caller reads what is sent to its address. It is keyed by our secret and the minute, so that no
// state is kept for an induction, draft §4.3.1.1.
func (l *Listener) cookie(from netip.AddrPort, minute int64) uint32 {
	m := hmac.New(sha256.New, l.cfg.Secret[:])
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(minute))
	m.Write(b[:])
	a := from.Addr().As16()
	m.Write(a[:])
	m.Write(binary.BigEndian.AppendUint16(nil, from.Port()))
	return binary.BigEndian.Uint32(m.Sum(nil)) | 1 // never 0, which asks for one
}

func (l *Listener) handshake(now time.Duration, from netip.AddrPort, p *Header, body []byte) {
	h := &l.hs
	if err := h.parse(body); err != nil {
		l.drops[DropMalformed]++
		return
	}
	minute := int64(now / time.Minute)
	switch h.kind {
	case typeInduction:
		// "The Listener responds ... Version: 5, Extension Field: 0x4A17, SYN Cookie, SRT Socket ID: that of the caller."
		h.version, h.keyLen, h.extension, h.cookie = 5, 0, magic, l.cookie(from, minute)
		l.sendHandshake(now, from, h.id, h)
	case typeConclusion:
		if h.cookie != l.cookie(from, minute) && h.cookie != l.cookie(from, minute-1) {
			l.drops[DropCookie]++
			return
		}
		l.conclude(now, from, p, h)
	default:
		l.drops[DropUnknown]++
	}
}

func (l *Listener) sendHandshake(now time.Duration, to netip.AddrPort, id uint32, h *handshake) []byte {
	p := Header{Control: true, Type: Handshake, Timestamp: uint32(now / time.Microsecond), Dest: id}
	b := h.append(p.Append(make([]byte, 0, 256)))
	l.respond(to, b)
	return b
}

func (l *Listener) refuse(now time.Duration, to netip.AddrPort, h *handshake, code RejectCode) {
	r := handshake{version: 5, isn: h.isn, mtu: h.mtu, window: h.window, kind: uint32(code), id: h.id, cookie: h.cookie, ip: h.ip}
	l.sendHandshake(now, to, h.id, &r)
}

// Refusal is a caller that was turned away before there was a request to decide about.
type Refusal struct {
	Peer     netip.AddrPort
	StreamID string
	Code     RejectCode
}

// maxRefusals bounds how many wait to be told; more are only counted by their callers.
const maxRefusals = 64

// turnAway refuses and remembers that for NextRefusal.
func (l *Listener) turnAway(now time.Duration, to netip.AddrPort, h *handshake, code RejectCode) {
	if len(l.refusals) < maxRefusals {
		l.refusals = append(l.refusals, Refusal{to, string(h.streamID), code})
	}
	l.refuse(now, to, h, code)
}

// NextRefusal returns the next caller that the protocol turned away.
func (l *Listener) NextRefusal() (Refusal, bool) {
	if len(l.refusals) == 0 {
		return Refusal{}, false
	}
	r := l.refusals[0]
	l.refusals = l.refusals[1:]
	return r, true
}

// conclude takes a conclusion whose cookie is right.
func (l *Listener) conclude(now time.Duration, from netip.AddrPort, p *Header, h *handshake) {
	key := peerKey{from, h.id}
	old := l.peers[key]
	if old != nil && old.isn == h.isn {
		l.respond(from, old.response) // our answer was lost
		return
	}
	if l.pending[key] != nil {
		return // being decided
	}
	if code := l.check(h); code != 0 {
		l.turnAway(now, from, h, code)
		return
	}
	c := newConn(l, now)
	c.them = h.id
	newStream(h.isn).join(c)
	c.begin(h.isn, c.next)
	r := &Request{StreamID: string(h.streamID), Peer: from, Encrypted: len(h.km) > 0, key: key, conn: c}
	if r.Encrypted != (l.cfg.Passphrase != "") {
		l.turnAway(now, from, h, RejectUnsecure)
		return
	}
	if r.Encrypted {
		c.crypt = &decryptor{passphrase: l.cfg.Passphrase}
		if err := c.crypt.setKM(h.km); err != nil {
			l.turnAway(now, from, h, kmCode(err))
			return
		}
		if c.crypt.gcm && h.srtVersion < gcmLeastPeer {
			l.turnAway(now, from, h, RejectCrypto)
			return
		}
	}
	if len(l.pending) >= l.cfg.MaxPending || l.crowded(from) {
		l.drops[DropNoRoom]++ // the caller tries again
		return
	}
	joined := false
	if len(h.group) > 0 {
		var wait bool
		var code RejectCode
		switch joined, wait, code = l.enlist(now, c, r, h); {
		case wait:
			return
		case code != 0:
			l.turnAway(now, from, h, code)
			return
		}
	}
	c.peer, c.streamID = from, r.StreamID
	if !joined {
		if old == nil {
			old = l.moved(h.id, r.StreamID)
		}
		if s := l.groups[c.group]; old == nil && c.kind != 0 && s != nil && len(s.members) > 0 {
			old = s.members[0] // the same group, begun anew
		}
		if old != nil {
			r.Replaces = old.owner
			l.take(old)
		} else if r.rival = l.rival(r.StreamID); r.rival != nil {
			r.until = now + yieldWithin
		}
		c.wanted = time.Duration(h.sendDelay) * time.Millisecond
		c.latency = max(l.cfg.Latency.Truncate(time.Millisecond), time.Duration(h.sendDelay)*time.Millisecond)
		c.clock.base = now - time.Duration(p.Timestamp)*time.Microsecond
	}
	r.response = handshake{
		version: 5, isn: h.isn, mtu: min(h.mtu, 1500), window: flowWindow, kind: typeConclusion, cookie: h.cookie, ip: h.ip, extension: hasHS, keyLen: h.keyLen,
		hs: true, hsType: extHSRsp, srtVersion: version, recvDelay: uint16(c.latency / time.Millisecond), sendDelay: h.recvDelay,
		flags: flagTSBPDSnd | flagTSBPDRcv | flagCrypt | flagTLPktDrop | flagNAKReport | flagRexmit | h.flags&flagFilter,
	}
	if r.Encrypted {
		r.response.extension |= hasKM
		r.response.km, r.response.kmType = slices.Clone(h.km), extKMRsp
	}
	if len(h.filter) > 0 {
		// The listener has no wish of its own: it adopts the caller's, and says so with every key.
		f, _ := filter.Parse(string(h.filter))
		c.fec = filter.NewReceiver(f)
		r.response.extension |= hasConfig
		r.response.filter = []byte(f.String())
	}
	if c.kind != 0 {
		g, _ := parseGroup(h.group)
		g.id = c.mirror
		r.response.extension |= hasConfig
		r.response.group = g.append(nil)
	}
	if joined {
		l.establish(now, r)
		return
	}
	l.pending[key] = r
	if r.rival != nil {
		l.waiting = append(l.waiting, r)
		return
	}
	l.requests = append(l.requests, r)
}

// crowded reports whether one address has an eighth of what may be pending: it is not to keep others out.
func (l *Listener) crowded(from netip.AddrPort) bool {
	if len(l.pending) < l.cfg.MaxPending/8 {
		return false
	}
	n := 0
	for k := range l.pending {
		if k.addr.Addr() == from.Addr() {
			n++
		}
	}
	return n >= max(l.cfg.MaxPending/8, 1)
}

// check finds what cannot be accepted whoever it is; 0: nothing.
func (l *Listener) check(h *handshake) RejectCode {
	switch {
	case h.version < 5 || h.hs && h.srtVersion < leastVersion:
		return RejectVersion
	case h.version > 5 || !h.hs || h.hsType != extHSReq || h.id == 0 || len(h.km) > 0 && h.kmType != extKMReq:
		return RejectRogue
	case h.flags&flagStream != 0:
		return RejectMessageAPI
	case len(h.congestion) > 0 && string(h.congestion) != "live":
		return RejectCongestion
	}
	if len(h.group) > 0 {
		if code := checkGroup(h.group); code != 0 {
			return code
		}
	}
	if len(h.filter) > 0 {
		if _, err := filter.Parse(string(h.filter)); err != nil {
			return RejectFilter
		}
	}
	return 0
}

func kmCode(err error) RejectCode {
	switch {
	case errors.Is(err, errSecret):
		return RejectBadSecret
	case errors.Is(err, errKMCipher):
		return RejectCrypto
	}
	return RejectRogue
}

// moved finds the connection of a caller that comes back from another port with the socket id it had, for the same stream:
// a caller whose network changed, or one that uses the same id for as long as it runs (Moblin).
func (l *Listener) moved(id uint32, streamID string) *Conn {
	for k, c := range l.peers {
		if k.id == id && c.streamID == streamID {
			return c
		}
	}
	return nil
}

// take ends a connection, with its whole group, in favour of a newer one; what it holds comes out at once.
func (l *Listener) take(c *Conn) {
	for _, m := range c.members {
		if m.ending == nil {
			m.flush = true
			m.losses.list = m.losses.list[:0]
			l.dismiss(m)
		}
	}
}

// NextRequest returns the next caller to decide about.
func (l *Listener) NextRequest() (*Request, bool) {
	if len(l.requests) == 0 {
		return nil, false
	}
	r := l.requests[0]
	l.requests = l.requests[1:]
	return r, true
}

// Accept answers a request and returns its connection; nil: there are MaxConns already, and the caller was told.
func (l *Listener) Accept(now time.Time, r *Request) *Conn {
	if len(l.conns) >= l.cfg.MaxConns && !r.done {
		l.Reject(now, r, RejectResource)
	}
	if r.done {
		return nil
	}
	r.done = true
	delete(l.pending, r.key)
	return l.establish(l.at(now), r)
}

// establish makes a request's connection one of the listener's, and answers it.
func (l *Listener) establish(t time.Duration, r *Request) *Conn {
	c := r.conn
	loops := uint32(l.cfg.Loops)
	for c.id == 0 || l.conns[c.id] != nil {
		c.id = l.rand.Uint32()%(1<<30/loops)*loops + uint32(l.cfg.Loop) // bit 30 marks groups, libsrt
	}
	c.heard, c.spoke = t, t
	c.ackNumber = l.rand.Uint32() // unguessable: an ACKACK proves that its sender reads our ACKs
	r.response.id = c.id
	c.response = l.sendHandshake(t, c.peer, c.them, &r.response)
	l.conns[c.id], l.peers[r.key] = c, c
	if c.kind != 0 {
		l.groups[c.group] = c.stream
	}
	c.due = c.timeout()
	l.fix(c)
	return c
}

// Reject answers a request with a code, of the protocol or of the application (2000 and more).
func (l *Listener) Reject(now time.Time, r *Request, code RejectCode) {
	if r.done {
		return
	}
	r.done = true
	delete(l.pending, r.key)
	h := r.response
	h.id = r.key.id
	l.refuse(l.at(now), r.Peer, &h, code)
}
