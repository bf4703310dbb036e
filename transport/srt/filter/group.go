package filter

import "encoding/binary"

// MaxPayload is the longest payload that is protected: 1456 bytes and a tag of 16.
const MaxPayload = 1472

const headerLen = 4

// Packet is a data packet as parity sees it.
type Packet struct {
	Index     int64
	Timestamp uint32
	Key       uint8  // KK
	Payload   []byte // as on the wire
}

// group is the XOR of some packets of a row or a column.
type group struct {
	id     int64 // row, or group of its column
	used   bool
	parity bool // the control packet is in it
	done   bool // nothing is left to rebuild
	count  int
	seen   [2]uint64 // members, by place
	time   uint32
	key    uint8
	length uint16
	size   int // longest payload
	sum    [MaxPayload]byte
}

func (g *group) reset(id int64) {
	clear(g.sum[:g.size])
	*g = group{id: id, used: true, sum: g.sum}
}

func (g *group) add(at int, p *Packet) bool {
	bit := uint64(1) << (at & 63)
	if g.seen[at>>6]&bit != 0 || len(p.Payload) > MaxPayload {
		return false
	}
	g.seen[at>>6] |= bit
	g.count++
	g.mix(p.Timestamp, p.Key, uint16(len(p.Payload)), p.Payload)
	return true
}

func (g *group) mix(time uint32, key uint8, length uint16, payload []byte) {
	g.time ^= time
	g.key ^= key
	g.length ^= length
	g.size = max(g.size, len(payload))
	xor(g.sum[:], payload)
}

// xor is dst ^= src over the length of src.
func xor(dst, src []byte) {
	n := len(src) &^ 7
	for i := 0; i < n; i += 8 {
		binary.NativeEndian.PutUint64(dst[i:], binary.NativeEndian.Uint64(dst[i:])^binary.NativeEndian.Uint64(src[i:]))
	}
	for i := n; i < len(src); i++ {
		dst[i] ^= src[i]
	}
}

// missing is the first place of size that was not seen.
func (g *group) missing(size int) int {
	for at := range size {
		if g.seen[at>>6]&(1<<(at&63)) == 0 {
			return at
		}
	}
	return -1
}
