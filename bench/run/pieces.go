package run

import (
	"fmt"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
)

// cut sorts the packets into pieces by the time they leave, and returns the time of the first picture. The tables in
// front leave with the first frame.
func (c *Clip) cut(b []byte, d time.Duration) (zero time.Duration, err error) {
	if len(b) < mpegts.PacketSize || len(b)%mpegts.PacketSize != 0 {
		return 0, fmt.Errorf("%w: %d bytes are not a row of transport packets", ErrClip, len(b))
	}
	begun := false
	now := time.Duration(0)
	for len(b) > 0 {
		p := b[:mpegts.PacketSize]
		if p[0] != 0x47 {
			return 0, fmt.Errorf("%w: a transport packet begins with %#x", ErrClip, p[0])
		}
		if dts, video, ok := startOf(p); ok {
			if video && !begun {
				begun, zero = true, dts
			}
			if begun {
				now = max(now, dts-zero)
			}
		}
		if d > 0 && now >= d {
			break
		}
		if n := len(c.pieces); n > 0 && c.pieces[n-1].at == now {
			last := &c.pieces[n-1]
			last.data = last.data[:len(last.data)+len(p)] // the packets lie behind each other in b
		} else {
			c.pieces = append(c.pieces, piece{now, p})
		}
		b = b[mpegts.PacketSize:]
	}
	if !begun {
		return 0, fmt.Errorf("%w: no picture with a time", ErrClip)
	}
	return zero, nil
}

// startOf returns the decoding time of the PES packet that begins in transport packet p (ISO 13818-1 §2.4.3).
func startOf(p []byte) (dts time.Duration, video, ok bool) {
	if p[1]&0x40 == 0 || p[3]&0x10 == 0 {
		return 0, false, false
	}
	h := p[4:]
	if p[3]&0x20 != 0 {
		if int(h[0])+1 >= len(h) {
			return 0, false, false
		}
		h = h[int(h[0])+1:]
	}
	if len(h) < 19 || h[0] != 0 || h[1] != 0 || h[2] != 1 || h[7]&0x80 == 0 {
		return 0, false, false
	}
	t := h[9:]
	if h[7]&0x40 != 0 {
		t = h[14:]
	}
	ticks := int64(t[0]>>1&7)<<30 | int64(t[1])<<22 | int64(t[2]>>1)<<15 | int64(t[3])<<7 | int64(t[4]>>1)
	return media.FromTicks(ticks), h[3]&0xf0 == 0xe0, true
}
