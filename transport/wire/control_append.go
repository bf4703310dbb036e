package wire

import (
	"encoding/binary"
	"time"
)

func millis(d time.Duration, limit int64) int64 {
	return max(0, min(limit, d.Milliseconds()))
}

// AppendHello appends the message.
func AppendHello(dst []byte, h *Hello) []byte {
	at := len(dst)
	dst = append(begin(dst, ControlHello), h.Version, h.Oldest)
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.Flags))
	dst = append(dst, h.SessionID[:]...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(millis(h.Latency, 1<<16-1)))
	dst = appendString(dst, h.Name)
	dst = appendString(dst, h.Token)
	return end(appendMost(appendString(dst, h.Agent), h.MaxLatency), at)
}

// AppendWelcome appends the message.
func AppendWelcome(dst []byte, w *Welcome) []byte {
	at := len(dst)
	dst = append(begin(dst, ControlWelcome), w.Version)
	dst = binary.BigEndian.AppendUint16(dst, w.Status)
	dst = append(dst, w.SessionID[:]...)
	dst = binary.BigEndian.AppendUint32(dst, w.Tag)
	dst = binary.BigEndian.AppendUint16(dst, uint16(millis(w.Latency, 1<<16-1)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(min(w.Hold/time.Second, 1<<16-1)))
	dst = append(appendString(dst, w.Reason), byte(w.Flags))
	return end(appendMost(binary.BigEndian.AppendUint16(dst, w.MTU), w.MaxLatency), at)
}

// appendMost appends the last field of hello and welcome, which was not there at first: who does not use it does without.
func appendMost(dst []byte, most time.Duration) []byte {
	if most <= 0 {
		return dst
	}
	return binary.BigEndian.AppendUint16(dst, uint16(millis(most, 1<<16-1)))
}

// AppendTracks appends the message; at most MaxTracks tracks are sent.
func AppendTracks(dst []byte, tracks []Track) []byte {
	at := len(dst)
	tracks = tracks[:min(len(tracks), MaxTracks)]
	dst = append(begin(dst, ControlTracks), byte(len(tracks)))
	for i := range tracks {
		t := &tracks[i]
		dst = append(dst, t.ID, t.Codec)
		dst = binary.BigEndian.AppendUint32(dst, t.Bitrate)
		dst = binary.BigEndian.AppendUint16(dst, t.Width)
		dst = binary.BigEndian.AppendUint16(dst, t.Height)
		dst = binary.BigEndian.AppendUint32(dst, t.Rate)
		dst = appendString(append(dst, t.Channels), t.Config)
	}
	return end(dst, at)
}

// AppendTarget appends the message; at most MaxLadder rungs are sent.
func AppendTarget(dst []byte, t *Target) []byte {
	at := len(dst)
	rungs := t.Ladder[:min(len(t.Ladder), MaxLadder)]
	dst = binary.BigEndian.AppendUint32(begin(dst, ControlTarget), t.Bitrate)
	dst = append(dst, t.Reason, byte(len(rungs)))
	for _, r := range rungs {
		on := byte(0)
		if r.Enabled {
			on = 1
		}
		dst = binary.BigEndian.AppendUint32(append(dst, r.Track, on), r.Bitrate)
	}
	if p := t.Path; p != nil {
		dst = binary.BigEndian.AppendUint16(dst, uint16(millis(p.Queue, 1<<16-1)))
		dst = binary.BigEndian.AppendUint16(dst, uint16(max(0, min(1, p.Loss))*(1<<16-1)))
	}
	return end(dst, at)
}

// AppendKeyframe appends a request for a key frame of a track.
func AppendKeyframe(dst []byte, track uint8) []byte {
	return append(dst, byte(ControlKeyframe), 0, 0, 1, track)
}

// AppendStats appends the counters, in the order of StatsFields.
func AppendStats(dst []byte, counters []uint64) []byte {
	at := len(dst)
	counters = counters[:min(len(counters), MaxStats)]
	dst = append(begin(dst, ControlStats), byte(len(counters)))
	for _, c := range counters {
		dst = binary.BigEndian.AppendUint64(dst, c)
	}
	return end(dst, at)
}

// AppendDrain appends the message.
func AppendDrain(dst []byte, d *Drain) []byte {
	at := len(dst)
	dst = binary.BigEndian.AppendUint32(begin(dst, ControlDrain), uint32(millis(d.Left, 1<<32-1)))
	return end(appendString(dst, d.URL), at)
}

// AppendBye appends the message.
func AppendBye(dst []byte, b *Bye) []byte {
	at := len(dst)
	dst = binary.BigEndian.AppendUint16(begin(dst, ControlBye), b.Code)
	return end(appendString(dst, b.Reason), at)
}

// AppendRekey appends the announcement of a key epoch.
func AppendRekey(dst []byte, epoch uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, byte(ControlRekey), 0, 0, 4), epoch)
}

// AppendPath appends the message.
func AppendPath(dst []byte, p *Path) []byte {
	flags := byte(0)
	if p.Reply {
		flags = 1
	}
	return binary.BigEndian.AppendUint32(append(dst, byte(ControlPath), 0, 0, 6, p.ID, flags), p.Tag)
}
