package srt

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/transport/srt/srtla"
)

// club is a sending group with the habits of libsrt's: all members number alike and stamp alike. A broadcast group sends each packet
// over each member; a backup group over the heaviest, and when nothing is heard of that for 2 RTT + 4 RTTVar (60 ms and more), also over
// the next one, with all that is not acknowledged first.
type club struct {
	t       *testing.T
	kind    uint8
	members []*legion
	began   time.Time
	seq     uint32
	n       uint32
	kept    []keptPacket
}

type keptPacket struct {
	seq, n  uint32
	at      time.Time
	payload []byte
}

type legion struct {
	g       *club
	c       *caller
	end     *sim.End
	weight  uint16
	active  bool
	heard   time.Time
	spoke   time.Time
	startAt time.Duration // joins then
	sent    uint32        // the number after the last one sent here
}

func (m *legion) HandleDatagram(now time.Time, b []byte) {
	m.heard = now
	h, body, _ := ParseHeader(b)
	// A sender of libsrt hangs up on an ACK or a NAK for what it has not sent over this member.
	if h.Control && h.Type == ACK {
		if a, _ := ParseACK(body); m.c.state == 2 && unwrap31(int64(m.sent), a.Next) > int64(m.sent) {
			m.g.t.Errorf("an ACK of %d where %d is the next to be sent", a.Next, m.sent)
		}
	}
	if h.Control && h.Type == NAK {
		for _, last, rest, ok := NextRange(body); ok; _, last, rest, ok = NextRange(rest) {
			if unwrap31(int64(m.sent), last) >= int64(m.sent) {
				m.g.t.Errorf("a NAK for %d where %d is the next to be sent", last, m.sent)
			}
		}
	}
	was := m.c.state
	m.c.HandleDatagram(now, b)
	if was < 2 && m.c.state == 2 {
		m.sent = m.c.isn
	}
	m.end.Wake()
}

func (m *legion) AppendDatagram(dst []byte, now time.Time) ([]byte, bool) {
	if now.Sub(sim.Epoch) < m.startAt {
		return dst, false
	}
	if m.c.began.IsZero() {
		if m.g.began.IsZero() {
			m.g.began = now
		}
		m.c.began, m.c.isn = m.g.began, m.g.seq
	}
	b, ok := m.c.AppendDatagram(dst, now)
	if !ok && m.c.state == 2 && !m.c.bye && now.Sub(m.spoke) >= time.Second {
		h := Header{Control: true, Type: Keepalive, Timestamp: m.c.timestamp(now), Dest: m.c.them}
		b, ok = appendWords(h.Append(dst), 0), true
	}
	if ok {
		m.spoke = now
	}
	return b, ok
}

func (m *legion) NextTimeout() time.Time {
	if m.c.began.IsZero() {
		return sim.Epoch.Add(m.startAt)
	}
	switch {
	case m.c.bye:
		return time.Time{}
	case m.c.state == 2:
		return m.spoke.Add(time.Second)
	}
	return m.c.NextTimeout()
}

func (m *legion) send(p keptPacket) {
	m.c.next, m.c.msgNo = p.seq, p.n-1
	m.c.push(p.at, p.payload)
	m.sent = m.c.next
	m.end.Wake()
}

func (g *club) push(now time.Time, payload []byte) {
	g.n++
	p := keptPacket{g.seq, g.n, now, append([]byte(nil), payload...)}
	g.seq = (g.seq + 1) & maxSeq
	g.kept = append(g.kept, p)
	acked := int64(0)
	for _, m := range g.members {
		acked = max(acked, m.c.acked)
	}
	for len(g.kept) > 0 && (unwrap31(acked, g.kept[0].seq) < acked || now.Sub(g.kept[0].at) > 2*time.Second) {
		g.kept = g.kept[1:]
	}
	if g.kind == groupBackup {
		g.elect(now)
	}
	for _, m := range g.members {
		if m.c.state == 2 && (g.kind == groupBroadcast || m.active) {
			if g.kind == groupBackup && m.c.first == 0 {
				for _, old := range g.kept {
					m.send(old)
				}
				continue
			}
			m.send(p)
		}
	}
}

// elect activates the next member when those that are active are not heard.
func (g *club) elect(now time.Time) {
	var best *legion
	for _, m := range g.members {
		if m.active {
			limit := max(60*time.Millisecond, min(2*m.c.rtt.smoothed+4*m.c.rtt.variance, m.c.latency))
			if now.Sub(m.heard) < limit {
				return
			}
		} else if m.c.state == 2 && (best == nil || m.weight > best.weight) {
			best = m
		}
	}
	if best != nil {
		best.active = true
	}
}

// group connects a club of members over paths to one listener.
func grouped(t *testing.T, w *sim.World, kind uint8, cfg Config, latency time.Duration, paths ...sim.Path) (*club, *ports) {
	g := &club{t: t, kind: kind, seq: maxSeq - 300}
	if kind == groupBackup {
		g.seq = 1000 // the model's record of what is acknowledged does not wrap
	}
	all := &ports{s: newServer(cfg), front: srtla.New([32]byte{1}), by: map[netip.AddrPort]*port{}}
	all.s.sendTo = all.send
	for i, p := range paths {
		c := newCaller(uint32(i)+7, g.seq, "k", latency)
		weight := uint16(100 - i)
		c.group = groupInfo{id: 0x12345 | groupMark, kind: kind, weight: weight}.append(nil)
		m := &legion{g: g, c: c, weight: weight}
		g.members = append(g.members, m)
		all.list = append(all.list, &port{all: all})
		link := w.Connect(p, m, all.list[i])
		m.end, all.list[i].end = link.A, link.B
	}
	return g, all
}

// stream sends a packet each interval for d, once a member is connected, and returns the share that did not come out.
func (g *club) stream(t *testing.T, w *sim.World, all *ports, d time.Duration) float64 {
	t.Helper()
	for g.members[0].c.state < 2 && w.Elapsed() < 3*time.Second {
		w.Run(10 * time.Millisecond)
	}
	payload := make([]byte, 1316)
	n := uint32(0)
	for end := w.Elapsed() + d; w.Elapsed() < end; n++ {
		binary.BigEndian.PutUint32(payload, n)
		g.push(g.members[0].end.Now(), payload)
		w.Run(interval)
	}
	w.Run(2 * time.Second)
	got := all.s.got
	for i := 1; i < len(got); i++ {
		if got[i].n <= got[i-1].n {
			t.Fatalf("payload %d after %d", got[i].n, got[i-1].n)
		}
	}
	return 1 - float64(len(got))/float64(n)
}

// dying is a path that ends after some time.
func dying(c netem.Config, at time.Duration) sim.Path {
	c.Schedule = []netem.Step{{At: at, Kind: netem.StepOutage, For: time.Hour}}
	return both(c)
}

// libsrt's groups: issue 6's floors, with nothing set here.
func TestGroups(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		why     string
		kind    uint8
		latency time.Duration
		paths   []sim.Path
		late    time.Duration // the last member joins then
	}{
		{"broadcast, 10 % loss on each of two", groupBroadcast, 400 * ms, []sim.Path{both(lossy(25*ms, 0.1)), both(lossy(45*ms, 0.1))}, 0},
		{"broadcast, one dies", groupBroadcast, 300 * ms, []sim.Path{dying(delayed(25*ms), 2*time.Second), both(lossy(45*ms, 0.02))}, 0},
		{"broadcast, one joins late, one dies", groupBroadcast, 300 * ms, []sim.Path{dying(lossy(25*ms, 0.02), 3*time.Second), both(lossy(45*ms, 0.02))}, 2 * time.Second},
		{"backup, the main link dies, latency 3 RTT", groupBackup, 240 * ms, []sim.Path{dying(delayed(30*ms), 2*time.Second), both(delayed(40 * ms))}, 0},
		{"backup, both lossy", groupBackup, 600 * ms, []sim.Path{dying(lossy(30*ms, 0.05), 2*time.Second), both(lossy(40*ms, 0.05))}, 0},
	} {
		t.Run(c.why, func(t *testing.T) {
			w := sim.New(1)
			g, all := grouped(t, w, c.kind, Config{}, c.latency, c.paths...)
			g.members[len(g.members)-1].startAt = c.late
			m := g.stream(t, w, all, length())
			conn := all.s.conn
			s := conn.Stats()
			resends := 0
			for _, m := range g.members {
				resends += m.c.resends
			}
			t.Logf("missing %.4f %%, %d resends, %+v, members %+v", 100*m, resends, s, conn.Members(nil, g.members[0].end.Now()))
			if m > 0 || len(all.s.conns) != 1 || s.Delivered == 0 {
				t.Errorf("missing %.4f %%, %d connections", 100*m, len(all.s.conns))
			}
			checkSums(t, conn)
			// It ends when the last member has hung up, with nothing left behind.
			for _, m := range g.members {
				m.c.hangUp(m.end.Now())
				m.end.Wake()
			}
			w.Run(7 * time.Second)
			if l := all.s.l; all.s.err == nil || l.Conns() != 0 || len(l.groups) != 0 || l.pool.used != 0 {
				t.Errorf("%v, %d connections, %d groups, %d buffers", all.s.err, l.Conns(), len(l.groups), l.pool.used)
			}
		})
	}
}

func TestGroupHandshake(t *testing.T) {
	s, now := newServer(Config{}), time.Unix(1e9, 0)
	member := func(id, isn, group uint32, kind uint8) *caller {
		c := newCaller(id, isn, "k", 0)
		c.group = groupInfo{id: group, kind: kind, weight: uint16(id)}.append(nil)
		return c
	}
	a := connect(t, s, now, addrA, member(1, 1000, groupMark|5, groupBroadcast))
	tx := member(2, 1010, groupMark|5, groupBroadcast)
	shake(t, s, now, addrB, tx)
	if tx.state != 2 || len(s.conns) != 1 || s.l.Conns() != 2 || len(a.members) != 2 || a.GroupType() != "broadcast" || a.Owner() != a || a.members[1].Owner() != a {
		t.Fatalf("state %d, %d accepted, %d connections", tx.state, len(s.conns), s.l.Conns())
	}
	// The response carries our id of the group, the same for both, and the member's own data word.
	var h handshake
	for i, m := range a.members {
		_, body, _ := ParseHeader(m.response)
		if err := h.parse(body); err != nil {
			t.Fatal(err)
		}
		if g, ok := parseGroup(h.group); !ok || g.id != a.mirror || g.kind != groupBroadcast || g.weight != uint16(i)+1 {
			t.Errorf("answered %+v", g)
		}
	}
	// Another type, or numbers from elsewhere: a group of its own, which takes the stream over.
	shake(t, s, now, addrB, member(3, 1<<30, groupMark|5, groupBroadcast))
	if len(s.conns) != 2 {
		t.Errorf("%d accepted", len(s.conns))
	}
	for _, c := range []struct {
		id   uint32
		kind uint8
		want RejectCode
	}{{5, groupBroadcast, RejectRogue}, {groupMark | 5, 3, RejectGroup}, {groupMark | 5, 0, RejectGroup}} {
		tx := member(9, 1, c.id, c.kind)
		shake(t, s, now, addrB, tx)
		if RejectCode(tx.code) != c.want {
			t.Errorf("id %x type %d: %d, want %d", c.id, c.kind, tx.code, c.want)
		}
	}
}
