package mpegts

// confirmations is how many further sync bytes, each a packet apart, make a found one credible.
// Ours: with two, a search through random bytes goes wrong once in 2^16 windows.
const confirmations = 2

// huntWindow is what a search looks at at once: a packet's worth of starts, and what confirms the last of them.
// Searching in fixed windows makes the result the same however the stream is cut into writes.
const huntWindow = PacketSize + confirmations*PacketSize + 1

// consume takes whole packets from b and returns how many bytes it is done with.
// The rest is less than a packet, or while sync is lost less than huntWindow.
func (d *Demuxer) consume(b []byte) int {
	n := 0
	for {
		if d.hunting {
			if len(b)-n < huntWindow {
				return n
			}
			skip, ok := findSync(b[n : n+huntWindow])
			d.stats.SkippedBytes += uint64(skip)
			n += skip
			d.hunting = !ok
			continue
		}
		if len(b)-n < PacketSize {
			return n
		}
		if b[n] != syncByte {
			d.hunting = true
			d.stats.SyncLosses++
			continue
		}
		d.packet(b[n : n+PacketSize])
		n += PacketSize
	}
}

// findSync searches a window of huntWindow bytes for the start of a packet and returns how many bytes to skip.
func findSync(w []byte) (skip int, ok bool) {
	// A single damaged sync byte is likelier than bytes lost or added.
	if confirmed(w, PacketSize) {
		return PacketSize, true
	}
	for i := range PacketSize {
		if confirmed(w, i) {
			return i, true
		}
	}
	return PacketSize, false
}

func confirmed(w []byte, i int) bool {
	for k := range confirmations + 1 {
		if at := i + k*PacketSize; at < len(w) && w[at] != syncByte {
			return false
		}
	}
	return true
}

// lastChance looks for whole packets in what is left of a stream that ended while sync was lost.
func (d *Demuxer) lastChance() {
	for i := 0; i+PacketSize <= len(d.carry); i++ {
		if !confirmed(d.carry, i) {
			continue
		}
		d.hunting = false
		d.stats.SkippedBytes += uint64(i)
		n := i + d.consume(d.carry[i:])
		d.carry = d.carry[:copy(d.carry, d.carry[n:])]
		return
	}
}
