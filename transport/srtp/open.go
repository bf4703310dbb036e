package srtp

import (
	"encoding/binary"

	"github.com/fairlead-live/fairlead/transport/seq"
)

// window is how many indexes behind the newest a packet may be: ours, 4096, half a second of skew at
// 8000 packets/s (RFC 3711 §3.3.2 asks for 64 or more).
const window = 4096

// An Opener authenticates and decrypts the packets of one direction of one path. It is owned by one
// goroutine. Memory: about 1.2 KiB and the key schedules of the epochs it holds.
type Opener struct {
	suites [Epochs]*suite
	rtp    replay
	rtcp   replay
	nonce  [nonceSize]byte
	aad    [rtcpHeader + 4]byte
	opened uint64
}

// NewOpener makes an opener without keys.
func NewOpener() *Opener {
	return &Opener{rtp: replay{highest: -1}, rtcp: replay{highest: -1}}
}

// SetKeys adds the keys of an epoch and forgets all but it and the one before.
func (o *Opener) SetKeys(epoch uint32, k Keys) error {
	s, err := newSuite(k)
	if err != nil {
		return err
	}
	for i := range o.suites {
		if i != int((epoch+Epochs-1)%Epochs) {
			o.suites[i] = nil
		}
	}
	o.suites[epoch%Epochs] = s
	return nil
}

// OpenRTP appends the decrypted payload of the SRTP packet b to dst and returns its index, ROC ‖ SEQ.
//
// The index is taken nearest to the newest one seen. outage true says that so much time has passed
// that the sender may have gone once more round the 16-bit sequence: then the next ROC is tried too,
// and the tag decides. Borrows b; dst must not overlap it. On an error dst is returned as it was.
func (o *Opener) OpenRTP(dst, b []byte, outage bool) (out []byte, index int64, err error) {
	if len(b) < rtpHeader+TagSize {
		return dst, 0, ErrShort
	}
	ssrc := binary.BigEndian.Uint32(b[8:])
	s := o.suites[ssrc%Epochs]
	if s == nil {
		return dst, 0, ErrNoKey
	}
	index = seq.Unwrap16(max(o.rtp.highest, 0), binary.BigEndian.Uint16(b[2:]))
	if !outage && !o.rtp.fresh(index) {
		return dst, 0, ErrReplayed
	}
	err = ErrReplayed
	for range 2 {
		if o.rtp.fresh(index) {
			rtpNonce(&o.nonce, &s.rtpSalt, ssrc, index)
			out, openErr := s.rtp.Open(dst, o.nonce[:], b[rtpHeader:], b[:rtpHeader])
			if openErr == nil {
				o.rtp.mark(index)
				o.opened++
				return out, index, nil
			}
			err = ErrAuth
		}
		if !outage {
			break
		}
		index += 1 << 16
	}
	return dst, 0, err
}

// OpenRTCP appends the decrypted RTCP packet (its clear header included) to dst. Borrows b.
func (o *Opener) OpenRTCP(dst, b []byte) ([]byte, error) {
	if len(b) < rtcpHeader+RTCPOverhead {
		return dst, ErrShort
	}
	ssrc := binary.BigEndian.Uint32(b[4:])
	s := o.suites[ssrc%Epochs]
	if s == nil {
		return dst, ErrNoKey
	}
	word := binary.BigEndian.Uint32(b[len(b)-4:])
	if word&eFlag == 0 {
		return dst, ErrAuth
	}
	index := int64(word &^ eFlag)
	if !o.rtcp.fresh(index) {
		return dst, ErrReplayed
	}
	rtcpNonce(&o.nonce, &s.rtcpSalt, ssrc, uint32(index))
	copy(o.aad[:], b[:rtcpHeader])
	copy(o.aad[rtcpHeader:], b[len(b)-4:])
	keep := len(dst)
	out, err := s.rtcp.Open(append(dst, b[:rtcpHeader]...), o.nonce[:], b[rtcpHeader:len(b)-4], o.aad[:])
	if err != nil {
		return dst[:keep], ErrAuth
	}
	o.rtcp.mark(index)
	o.opened++
	return out, nil
}

// replay is the sliding window of RFC 3711 §3.3.2, one bit an index.
type replay struct {
	highest int64 // newest authenticated index, -1 at first
	bits    [window / 64]uint64
}

func (r *replay) fresh(i int64) bool {
	if i < 0 || i >= maxIndex || i <= r.highest-window {
		return false
	}
	return i > r.highest || r.bits[i%window/64]&(1<<(i%64)) == 0
}

func (r *replay) mark(i int64) {
	if i > r.highest {
		if i-r.highest >= window {
			clear(r.bits[:])
		} else {
			for j := r.highest + 1; j < i; j++ {
				r.bits[j%window/64] &^= 1 << (j % 64)
			}
		}
		r.highest = i
	}
	r.bits[i%window/64] |= 1 << (i % 64)
}

// Newest is the highest RTP index that has authenticated, -1 before the first. Return traffic may follow a packet to a
// new address only when it raised this.
func (o *Opener) Newest() int64 { return o.rtp.highest }

// Opened counts the packets that have authenticated.
func (o *Opener) Opened() uint64 { return o.opened }
