package srt

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Several listeners may share a port, each with a socket of its own among which the system deals out the peers (SO_REUSEPORT): each with a place
// in Config.Loop, and all with one Config.Secret and one Begin.

// Begin sets the time that all else is counted from; else that is the first one told.
func (l *Listener) Begin(now time.Time) { l.at(now) }

// LoopOf is whose a datagram is, of so many listeners; false: it does not say, as handshakes do not.
func LoopOf(b []byte, loops int) (loop int, ok bool) {
	if len(b) < HeaderLen {
		return 0, false
	}
	dest := binary.BigEndian.Uint32(b[12:])
	return int(dest % uint32(loops)), dest != 0
}

// Concludes reports whether a datagram is a conclusion whose sender has proved its address, and for which stream.
func (l *Listener) Concludes(now time.Time, from netip.AddrPort, b []byte) (streamID string, ok bool) {
	p, body, ok := ParseHeader(b)
	if !ok || !p.Control || p.Type != Handshake || p.Dest != 0 {
		return "", false
	}
	h, minute := &l.hs, int64(l.at(now)/time.Minute)
	if h.parse(body) != nil || h.kind != typeConclusion || h.cookie != l.cookie(from, minute) && h.cookie != l.cookie(from, minute-1) {
		return "", false
	}
	return string(h.streamID), true
}

// Evict ends the connection that has a stream, if it has fallen silent, in favour of one of another listener on the port; what it holds comes out
// at once. gone: nobody has the stream here, or not any more.
func (l *Listener) Evict(now time.Time, streamID string) (rival *Conn, gone bool) {
	if rival = l.rival(streamID); rival == nil {
		return nil, true
	}
	if l.at(now) < rival.yieldAt() {
		return rival, false
	}
	l.take(rival)
	return rival, true
}
