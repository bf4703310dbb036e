// Package srtla is the receiving side of SRTLA v2, BELABOX's bonding below SRT: one SRT connection over several links, each a
// source address. It stands between a socket and an srt.Listener, on one port with plain SRT, and gives all links of a group one
// address of its own.
//
// SRTLA's own packets begin with a 16-bit type, which no SRT packet has; everything else passes unchanged:
//
//	0x9000 KEEPALIVE  type, anything      answered with the same, on the same link
//	0x9100 ACK        type, 0, n × number sequence numbers that came over this link; one for each 10
//	0x9201 REG2       type, 256 id        the answer to a REG1: its first 128 bytes, and 128 of ours; then, from each link, the same back
//	0x9200 REG1       type, 256 id        a new group wants an id
//	0x9202 REG3       type                the link is accepted
//	0x9210 ERR, 0x9211 NGP                no room; no such group: it is to send REG1 again
//
// Our half of an id is a keyed hash of the sender's half and the minute: a REG1 leaves nothing behind, and a REG2 proves that
// its sender reads what is sent to its address.
//
// Bounds: 200 groups of 16 links, and 256 answers that wait to be sent.
//
// What it leaves to others: the reorder hold that links of unequal length need (package srt measures it), sockets (srtlink).
package srtla

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"net/netip"
	"time"
)

const (
	typeKeepalive = 0x9000
	typeACK       = 0x9100
	typeREG1      = 0x9200
	typeREG2      = 0x9201
	typeREG3      = 0x9202
	typeERR       = 0x9210
	typeNGP       = 0x9211

	idLen  = 256
	ackFor = 10 // packets; srtla_rec RECV_ACK_INT

	maxGroups  = 200
	maxLinks   = 16
	maxAnswers = 256
	linkIdle   = 15 * time.Second // irlserver; BELABOX has 10 s
	groupIdle  = 5 * time.Second  // without a first SRT packet; irlserver
)

// Front belongs to one goroutine and holds no lock.
type Front struct {
	secret [32]byte
	epoch  time.Time
	groups map[[idLen]byte]*group
	links  map[netip.AddrPort]*link
	places map[netip.AddrPort]*group // by their own address
	made   uint64
	swept  time.Duration
	out    []answer
	drops  uint64
}

type group struct {
	id    [idLen]byte
	addr  netip.AddrPort
	links []*link
	last  *link // heard most recently
	since time.Duration
	used  bool // an SRT packet has come
}

type link struct {
	g     *group
	addr  netip.AddrPort
	heard time.Duration
	acks  [ackFor]uint32
	n     int
	stats LinkStats
}

// LinkStats is what is known of one link. What follows Report is the sender's word, from its extended keepalives.
type LinkStats struct {
	Peer     netip.AddrPort
	Received uint64        // SRT packets
	Bytes    uint64        // of these
	Silent   time.Duration // since the last packet of any kind
	Report   bool          // the sender tells
	RTT      time.Duration
	Window   int // packets × 1000
	InFlight int // packets
	NAKs     int // packets
	ByteRate int // bytes/s
}

type answer struct {
	to netip.AddrPort
	b  []byte
}

// New makes a Front. The secret keys the ids; it must come from a true random source.
func New(secret [32]byte) *Front {
	return &Front{secret: secret, groups: map[[idLen]byte]*group{}, links: map[netip.AddrPort]*link{}, places: map[netip.AddrPort]*group{}}
}

// Begin sets the time that all else is counted from, which several Fronts on one port, with one secret, have in common.
func (f *Front) Begin(now time.Time) { f.epoch = now }

// Drops counts SRTLA's own packets that meant nothing here: of an unknown kind or length, a keepalive of no link, and what there was no room to
// answer.
func (f *Front) Drops() uint64 { return f.drops }

// Has reports whether an address is a link's.
func (f *Front) Has(a netip.AddrPort) bool { return f.links[a] != nil }

// LoopOf is which of so many Fronts on one port a datagram of SRTLA's own is for; false: whose link it comes over says it, or it does not matter.
func LoopOf(b []byte, loops int) (loop int, ok bool) {
	if len(b) < 2+idLen || binary.BigEndian.Uint16(b) != typeREG2 {
		return 0, false
	}
	return int(binary.BigEndian.Uint32(b[2:]) % uint32(loops)), true
}

// Own reports whether a datagram is SRTLA's own.
func Own(b []byte) bool { return len(b) > 0 && b[0]&0xF0 == 0x90 }

// In takes a datagram from the socket, and borrows it. It is to go on to the Listener if pass is true, as from the address returned:
// its own for plain SRT, the group's for a link's.
func (f *Front) In(now time.Time, from netip.AddrPort, b []byte) (source netip.AddrPort, pass bool) {
	if f.epoch.IsZero() {
		f.epoch = now
	}
	t := now.Sub(f.epoch)
	if t-f.swept >= time.Second {
		f.swept = t
		f.sweep(t)
	}
	if len(b) < 2 {
		return from, true
	}
	l := f.links[from]
	if Own(b) {
		f.own(t, from, l, b)
		return from, false
	}
	if l == nil {
		return from, true
	}
	l.heard, l.g.last, l.g.used = t, l, true
	l.stats.Received++
	l.stats.Bytes += uint64(len(b))
	if b[0]&0x80 == 0 && len(b) >= 16 {
		l.acks[l.n] = binary.BigEndian.Uint32(b)
		if l.n++; l.n == ackFor {
			l.n = 0
			a := binary.BigEndian.AppendUint32(make([]byte, 0, 4+4*ackFor), typeACK<<16)
			for _, n := range l.acks {
				a = binary.BigEndian.AppendUint32(a, n)
			}
			f.answer(from, a)
		}
	}
	return l.g.addr, true
}

// own takes one of SRTLA's own packets.
func (f *Front) own(now time.Duration, from netip.AddrPort, l *link, b []byte) {
	switch kind := binary.BigEndian.Uint16(b); {
	case kind == typeKeepalive && l != nil && len(b) <= 64:
		l.heard = now
		l.report(b)
		f.answer(from, append([]byte(nil), b...))
	case kind == typeREG1 && len(b) == 2+idLen:
		id := f.name([idLen / 2]byte(b[2:]), now)
		f.answer(from, append(binary.BigEndian.AppendUint16(nil, typeREG2), id[:]...))
	case kind == typeREG2 && len(b) == 2+idLen:
		f.register(now, from, [idLen]byte(b[2:]))
	default:
		f.drops++
	}
}

// report takes an extended keepalive (irlserver): type, 64-bit clock of the sender, 0xC01F, version 1, id, window, packets in flight, RTT in ms,
// packets named in NAKs, bytes/s.
func (l *link) report(b []byte) {
	u32 := binary.BigEndian.Uint32
	if len(b) != 38 || u32(b[10:]) != 0xC01F_0001 {
		return
	}
	s := &l.stats
	s.Report, s.Window, s.InFlight = true, int(int32(u32(b[18:]))), int(int32(u32(b[22:])))
	s.RTT, s.NAKs, s.ByteRate = time.Duration(u32(b[26:]))*time.Millisecond, int(u32(b[30:])), int(u32(b[34:]))
}

// Links appends what is known of the links of a group, by the group's address; nothing, when it is none.
func (f *Front) Links(dst []LinkStats, now time.Time, a netip.AddrPort) []LinkStats {
	g := f.places[a]
	if g == nil {
		return dst
	}
	for _, l := range g.links {
		s := l.stats
		s.Peer, s.Silent = l.addr, now.Sub(f.epoch)-l.heard
		dst = append(dst, s)
	}
	return dst
}

// name completes the first half of an id.
func (f *Front) name(half [idLen / 2]byte, at time.Duration) (id [idLen]byte) {
	copy(id[:], half[:])
	for i := range 2 {
		m := hmac.New(sha512.New, f.secret[:])
		m.Write([]byte{byte(i)})
		m.Write(binary.BigEndian.AppendUint64(nil, uint64(at/time.Minute)))
		m.Write(half[:])
		m.Sum(id[:idLen/2+i*sha512.Size])
	}
	return id
}

func (f *Front) register(now time.Duration, from netip.AddrPort, id [idLen]byte) {
	g := f.groups[id]
	if g == nil {
		half := [idLen / 2]byte(id[:])
		if id != f.name(half, now) && (now < time.Minute || id != f.name(half, now-time.Minute)) {
			f.say(from, typeNGP)
			return
		}
		if len(f.groups) >= maxGroups {
			f.say(from, typeERR)
			return
		}
		f.made++
		// An address that nobody has: in the discard-only prefix 100::/64 (RFC 6666), port 0.
		a := [16]byte{0: 1}
		binary.BigEndian.PutUint64(a[8:], f.made)
		g = &group{id: id, addr: netip.AddrPortFrom(netip.AddrFrom16(a), 0), since: now}
		f.groups[id], f.places[g.addr] = g, g
	}
	if l := f.links[from]; l != nil {
		if l.g == g {
			l.heard = now
			f.say(from, typeREG3)
			return
		}
		f.remove(l)
	}
	if len(g.links) >= maxLinks {
		oldest := g.links[0]
		for _, l := range g.links {
			if l.heard < oldest.heard {
				oldest = l
			}
		}
		if now-oldest.heard < time.Second {
			f.say(from, typeERR)
			return
		}
		f.remove(oldest)
	}
	l := &link{g: g, addr: from, heard: now}
	g.links = append(g.links, l)
	f.links[from] = l
	if g.last == nil {
		g.last = l
	}
	f.groups[id], f.places[g.addr] = g, g
	f.say(from, typeREG3)
}

func (f *Front) say(to netip.AddrPort, kind uint16) {
	f.answer(to, binary.BigEndian.AppendUint16(nil, kind))
}

func (f *Front) answer(to netip.AddrPort, b []byte) {
	if len(f.out) >= maxAnswers {
		f.drops++
		return
	}
	f.out = append(f.out, answer{to, b})
}

// sweep removes links that have been silent, groups without links, and groups that nothing has come of: whoever registers and registers takes
// no room for longer than that.
func (f *Front) sweep(now time.Duration) {
	for _, l := range f.links {
		if now-l.heard >= linkIdle || !l.g.used && now-l.g.since >= groupIdle {
			f.remove(l)
		}
	}
}

func (f *Front) remove(l *link) {
	delete(f.links, l.addr)
	g := l.g
	for i, other := range g.links {
		if other == l {
			g.links = append(g.links[:i], g.links[i+1:]...)
			break
		}
	}
	switch {
	case len(g.links) == 0:
		delete(f.groups, g.id)
		delete(f.places, g.addr)
		g.last = nil
	case g.last == l:
		g.last = g.links[0]
	}
}

// Out appends the addresses that a datagram of the Listener for to goes to: of a group, all links for an SRT ACK, which a sender
// measures each link by, and the one heard last for everything else.
func (f *Front) Out(dst []netip.AddrPort, to netip.AddrPort, b []byte) []netip.AddrPort {
	if to.Port() != 0 {
		return append(dst, to)
	}
	g := f.places[to]
	if g == nil {
		return dst
	}
	if len(b) >= 2 && binary.BigEndian.Uint16(b) == 0x8002 {
		for _, l := range g.links {
			dst = append(dst, l.addr)
		}
		return dst
	}
	return append(dst, g.last.addr)
}

// Real is an address people can make sense of: of a group, that of the link heard last.
func (f *Front) Real(a netip.AddrPort) netip.AddrPort {
	if g := f.places[a]; g != nil {
		return g.last.addr
	}
	return a
}

// AppendDatagram writes the next of SRTLA's own packets.
func (f *Front) AppendDatagram(dst []byte) (out []byte, to netip.AddrPort, ok bool) {
	if len(f.out) == 0 {
		return dst, to, false
	}
	a := f.out[0]
	f.out = f.out[1:]
	return append(dst, a.b...), a.to, true
}
