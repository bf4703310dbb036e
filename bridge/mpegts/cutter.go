package mpegts

import "time"

const (
	// PieceBytes is the most that a Piece holds: four datagrams of seven packets, which is how MPEG-TS goes over UDP and SRT.
	PieceBytes = 4 * 7 * PacketSize
	// pcrHz is the clock of a PCR (§2.4.2.1), pcrWrap where it begins anew: 2^33 periods of 300.
	pcrHz   = 27_000_000
	pcrWrap = 300 << 33
	// pcrJump: a step of more than that, or back, is another clock. A PCR is due every 100 ms (§2.7.2). Ours.
	pcrJump = 5 * pcrHz
	// pcrLost: so many PCRs of other PIDs without one of the PID that is followed, and the next one's is. Ours: 2 s and more.
	pcrLost = 100
)

// Piece is a run of whole packets of a transport stream as they came.
type Piece struct {
	Data   []byte        // 188 to PieceBytes bytes; whoever gets it owns it
	Time   time.Duration // of its first packet on the clock of the stream's PCRs, which begins at 0 and never goes back
	Tables bool          // begins with a PAT
	Key    bool          // a picture that can be decoded without others begins in it
}

// Cutter cuts a transport stream into pieces and leaves every packet as it is: in front of each PAT and each PCR, and where a piece is full. It is owned by
// one goroutine; its memory is one piece, less than 600 bytes of what has come, and the pieces not yet taken.
type Cutter struct {
	carry   []byte // less than a packet, or than huntWindow while sync is lost
	hunting bool
	skipped uint64
	piece   Piece
	ready   []Piece
	head    int

	clocked bool   // there was a PCR
	pid     uint16 // whose PCRs count
	others  int    // PCRs of other PIDs since one of its own
	pcr     int64  // the newest
	at      time.Duration
	since   int           // bytes since it
	step    time.Duration // from the one before to it
	bytes   int           // and the bytes
	last    time.Duration // given out
}

// Write takes the next bytes of the stream, cut anywhere, and borrows them. Drain Next afterwards.
func (c *Cutter) Write(b []byte) {
	c.carry = append(c.carry, b...)
	rest := c.carry
	for {
		switch {
		case c.hunting && len(rest) >= huntWindow:
			skip, ok := findSync(rest[:huntWindow])
			c.skipped += uint64(skip)
			rest, c.hunting = rest[skip:], !ok
			continue
		case c.hunting || len(rest) < PacketSize:
		case rest[0] != syncByte:
			c.hunting = true
			continue
		default:
			c.packet(rest[:PacketSize])
			rest = rest[PacketSize:]
			continue
		}
		break
	}
	c.carry = c.carry[:copy(c.carry, rest)]
}

// Next hands over the next piece; false: there is none until the next Write or Cut.
func (c *Cutter) Next() (Piece, bool) {
	if c.head == len(c.ready) {
		return Piece{}, false
	}
	p := c.ready[c.head]
	c.ready[c.head] = Piece{}
	if c.head++; c.head == len(c.ready) {
		c.ready, c.head = c.ready[:0], 0
	}
	return p, true
}

// Cut ends the piece at hand, as where the stream ends or the next PCR is waited for too long.
func (c *Cutter) Cut() {
	if len(c.piece.Data) > 0 {
		c.ready = append(c.ready, c.piece)
		c.piece = Piece{}
	}
}

// Clocked reports whether there was a PCR so far; without one every piece has the time 0.
func (c *Cutter) Clocked() bool { return c.clocked }

// Skipped is how many bytes were between packets while sync was lost.
func (c *Cutter) Skipped() uint64 { return c.skipped }

func (c *Cutter) packet(b []byte) {
	tables, key := marks(b)
	t, timed := pcrOf(b)
	if timed {
		timed = c.clock(uint16(b[1]&0x1f)<<8|uint16(b[2]), t)
	}
	if tables || timed || len(c.piece.Data) == PieceBytes {
		c.Cut()
	}
	if len(c.piece.Data) == 0 {
		c.piece = Piece{Data: make([]byte, 0, PieceBytes), Time: c.now(), Tables: tables}
	}
	c.piece.Data = append(c.piece.Data, b...)
	c.piece.Key = c.piece.Key || key
	c.since += PacketSize
}

// clock takes a PCR and reports whether it is one of the PID that is followed.
func (c *Cutter) clock(pid uint16, t int64) bool {
	if pid != c.pid && c.clocked {
		if c.others++; c.others < pcrLost {
			return false
		}
	}
	now := c.now()
	step := (t - c.pcr + pcrWrap) % pcrWrap
	switch {
	case !c.clocked:
	case pid != c.pid || step > pcrJump: // another clock: it goes on from where the stream is
		c.at, c.step = now, 0
	default:
		c.step, c.bytes = time.Duration(step)*1000/27, c.since
		c.at += c.step
	}
	c.clocked, c.pid, c.others, c.pcr, c.since = true, pid, 0, t, 0
	return true
}

// now is the time of the next packet: at the rate between the last two PCRs, until the next one comes.
func (c *Cutter) now() time.Duration {
	t := c.at
	if c.bytes > 0 {
		t += min(c.step, time.Duration(float64(c.step)*float64(c.since)/float64(c.bytes)))
	}
	c.last = max(c.last, t)
	return c.last
}

// Marks looks at a run of packets: whether they are whole packets and nothing else, the first has the beginning of a PAT, and a picture that can be
// decoded without others begins in one of them.
func Marks(b []byte) (tables, key, ok bool) {
	if len(b) == 0 || len(b)%PacketSize != 0 {
		return false, false, false
	}
	for at := 0; at < len(b); at += PacketSize {
		if b[at] != syncByte {
			return false, false, false
		}
		t, k := marks(b[at : at+PacketSize])
		tables, key = tables || t && at == 0, key || k
	}
	return tables, key, true
}

// marks says of one packet whether a PAT begins in it, or a picture at which decoding can start: the random access indicator (§2.4.3.5) of a PES packet of
// video, for muxers set it with sound as well.
func marks(b []byte) (tables, key bool) {
	pid := uint16(b[1]&0x1f)<<8 | uint16(b[2])
	if b[1]&0xc0 != 0x40 { // damaged, or nothing begins here
		return false, false
	}
	if pid == 0 {
		return true, false
	}
	if b[3]&0x30 != 0x30 || b[4] == 0 || b[5]&0x40 == 0 {
		return false, false
	}
	at := 5 + int(b[4])
	return false, at+4 <= PacketSize && b[at] == 0 && b[at+1] == 0 && b[at+2] == 1 && b[at+3]&0xf0 == 0xe0
}

// pcrOf returns a packet's PCR (§2.4.3.5).
func pcrOf(b []byte) (t int64, ok bool) {
	if b[1]&0x80 != 0 || b[3]&0x20 == 0 || b[4] < 7 || b[5]&0x10 == 0 {
		return 0, false
	}
	base := int64(b[6])<<25 | int64(b[7])<<17 | int64(b[8])<<9 | int64(b[9])<<1 | int64(b[10])>>7
	return base*300 + int64(b[10]&1)<<8 + int64(b[11]), true
}
