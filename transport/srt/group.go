package srt

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// Types of groups, libsrt srt.h SRT_GROUP_TYPE.
const (
	groupBroadcast = 1 // each packet over each member
	groupBackup    = 2 // over the one with the highest weight that works
)

const (
	groupMark  = 1 << 30 // in the id of a group; libsrt SRTGROUP_MASK
	maxMembers = 8
)

// Constants of asking in a group; ours.
const (
	// quietMember is after how long without a packet a member is asked only when there is no other: longer than two ACK periods, and
	// less than a second of keepalives, which say that it carries nothing.
	quietMember = 300 * time.Millisecond
	askAnew     = 20 * time.Millisecond // when nobody can be asked now
)

// groupKey is what the members of a group have in common.
type groupKey struct {
	id       uint32 // the caller's
	streamID string
}

// groupInfo is the body of a GROUP extension:
//
//	+-------------------------------+
//	|0|1|        group id           |
//	+-------+-------+---------------+
//	| type  | flags |    weight     |
//	+-------+-------+---------------+
type groupInfo struct {
	id     uint32
	kind   uint8
	flags  uint8
	weight uint16
}

func parseGroup(b []byte) (g groupInfo, ok bool) {
	if len(b) < 8 {
		return g, false
	}
	w := binary.BigEndian.Uint32(b[4:])
	return groupInfo{binary.BigEndian.Uint32(b), uint8(w >> 24), uint8(w >> 16), uint16(w)}, true
}

func (g groupInfo) append(dst []byte) []byte {
	return appendWords(dst, g.id, uint32(g.kind)<<24|uint32(g.flags)<<16|uint32(g.weight))
}

// checkGroup finds what cannot be accepted of a group; 0: nothing.
func checkGroup(b []byte) RejectCode {
	g, ok := parseGroup(b)
	switch {
	case !ok || g.id&groupMark == 0:
		return RejectRogue
	case g.kind != groupBroadcast && g.kind != groupBackup:
		return RejectGroup
	}
	return 0
}

// enlist makes a connection a member of a group that is there already. It is accepted as the first one was, without another request.
// code is 0 when it was; wait: the group's first member is being decided about, and the caller repeats itself.
func (l *Listener) enlist(now time.Duration, c *Conn, r *Request, h *handshake) (joined, wait bool, code RejectCode) {
	g, _ := parseGroup(h.group)
	key := groupKey{g.id, string(h.streamID)}
	c.weight = g.weight
	for _, p := range l.pending {
		if p.conn.group == key && p.conn.kind != 0 {
			return false, true, 0
		}
	}
	s := l.groups[key]
	if s == nil || s.kind != g.kind || len(s.members) == 0 || s.members[0].ending != nil && !s.members[0].others() ||
		r.Encrypted != (s.members[0].crypt != nil) {
		c.group, c.kind = key, g.kind
		for c.mirror == 0 {
			c.mirror = l.rand.Uint32()&(groupMark-1) | groupMark
		}
		return false, false, 0
	}
	origin := unwrap31(s.high, h.isn)
	switch {
	case origin < s.next-flowWindow || origin >= s.high+flowWindow:
		c.group, c.kind, c.mirror = key, g.kind, s.mirror // the caller began anew
		return false, false, 0
	case len(s.members) >= maxMembers || len(l.conns) >= l.cfg.MaxConns:
		return false, false, RejectResource
	}
	for _, m := range s.members {
		if m.them == c.them && m.ending == nil { // it comes back, over another path or not
			l.dismiss(m)
		}
	}
	c.begin(h.isn, origin)
	s.join(c)
	return true, false, 0
}

// dismiss ends one connection in favour of another.
func (l *Listener) dismiss(c *Conn) {
	if k := (peerKey{c.peer, c.them}); l.peers[k] == c {
		delete(l.peers, k)
	}
	c.ending = ErrTaken
	l.touch(c)
}

// asker is the member that asks for a packet: one that has carried later ones (a sender of libsrt hangs up when it is asked for what it
// has not sent there), of those the quickest, the next one at each repetition. nil: none.
func (s *stream) asker(now time.Duration, m *missing) *Conn {
	if len(s.members) == 1 {
		return s.members[0]
	}
	var list [maxMembers]*Conn
	n := 0
	for _, c := range s.members {
		if c.ending == nil && c.reach > m.seq && now-c.carried < quietMember && n < len(list) {
			list[n] = c
			n++
		}
	}
	if n == 0 {
		return nil
	}
	slices.SortStableFunc(list[:n], func(a, b *Conn) int { return int(a.rtt.smoothed - b.rtt.smoothed) })
	return list[m.tries%n]
}

// MemberStats is one member of a group.
type MemberStats struct {
	Peer     netip.AddrPort
	Weight   uint16
	Active   bool // it carries media now
	RTT      time.Duration
	Received uint64 // data packets
	Resent   uint64 // of these
	// ReceivedBytes are their payloads.
	ReceivedBytes uint64
	Asked         uint64
	Unique        uint64 // that no other member had brought before
}

// Members appends what there is to say of each member of its group; nothing, when it is in none.
func (c *Conn) Members(dst []MemberStats, now time.Time) []MemberStats {
	if c.kind == 0 {
		return dst
	}
	t := c.l.at(now)
	for _, m := range c.members {
		dst = append(dst, MemberStats{
			Peer: m.peer, Weight: m.weight, Active: m.carried > 0 && t-m.carried < quietMember, RTT: m.rtt.smoothed,
			Received: m.stats.Received, ReceivedBytes: m.stats.ReceivedBytes, Resent: m.stats.Resent, Asked: m.stats.Asked, Unique: m.unique,
		})
	}
	return dst
}

// GroupType says "broadcast" or "backup"; empty: it is no group.
func (c *Conn) GroupType() string { return [...]string{"", "broadcast", "backup"}[c.kind] }
