package srt

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/fairlead-live/fairlead/transport/srt/filter"
)

// flags of a live caller: as libsrt sends them, draft §3.2.1.1.1.
const callerFlags = flagTSBPDSnd | flagTSBPDRcv | flagCrypt | flagTLPktDrop | flagNAKReport | flagRexmit | flagFilter

// States of key material in a response of one word: libsrt SRT_KM_STATE.
const (
	kmNoSecret  = 3
	kmBadSecret = 4
)

// call writes the next handshake packet.
func (c *Caller) call(dst []byte, now time.Duration) []byte {
	c.again = now + handshakeEvery
	h := &c.hs
	*h = handshake{version: 4, extension: 2, isn: c.isn, mtu: 1500, window: flowWindow, kind: typeInduction, id: c.id}
	if c.state == concluding {
		ms := uint16(c.cfg.Latency / time.Millisecond)
		*h = handshake{
			version: 5, extension: hasHS, isn: c.isn, mtu: 1500, window: flowWindow, kind: typeConclusion, id: c.id, cookie: c.cookie,
			hs: true, hsType: extHSReq, srtVersion: version, flags: callerFlags, recvDelay: ms, sendDelay: ms,
			streamID: []byte(c.cfg.StreamID), filter: []byte(c.cfg.Filter),
		}
		if len(h.streamID) > 0 || len(h.filter) > 0 {
			h.extension |= hasConfig
		}
		if c.seal != nil {
			h.extension |= hasKM
			h.keyLen, h.km, h.kmType = uint16(c.cfg.KeyLen/8), c.km, extKMReq
		}
		if c.repeated = c.concluded != 0; !c.repeated {
			c.concluded = now
		}
	}
	return h.append(c.header(dst, now, Handshake, 0, 0))
}

// answered takes the body of a handshake packet.
func (c *Caller) answered(now time.Duration, body []byte) {
	h := &c.hs
	if err := h.parse(body); err != nil {
		c.stats.Drops[DropMalformed]++
		return
	}
	switch {
	case c.state == connected:
		c.heard = now // the answer to a repeated conclusion, once more
	case h.kind >= 1000 && h.kind < 1<<31:
		c.end(&RefusedError{RejectCode(h.kind)})
	case h.kind == typeInduction && c.state == inducing:
		if h.version < 5 || h.extension != magic {
			c.end(&RefusedError{RejectVersion})
			return
		}
		c.state, c.cookie, c.again = concluding, h.cookie, now
	case h.kind == typeConclusion && c.state == concluding:
		if err := c.agree(now, h); err != nil {
			c.end(err)
		}
	case h.kind == typeInduction: // a second answer
	default:
		c.stats.Drops[DropUnknown]++
	}
}

// agree takes the response to our conclusion.
func (c *Caller) agree(now time.Duration, h *handshake) error {
	if h.version != 5 || !h.hs || h.hsType != extHSRsp || h.id == 0 {
		return &RefusedError{RejectRogue}
	}
	switch {
	case c.seal == nil && len(h.km) > 4:
		return &RefusedError{RejectUnsecure}
	case c.seal == nil:
	case len(h.km) == 4 && binary.BigEndian.Uint32(h.km) == kmBadSecret:
		return &RefusedError{RejectBadSecret}
	case h.kmType != extKMRsp || len(h.km) <= 4:
		return &RefusedError{RejectUnsecure}
	case !bytes.Equal(h.km, c.km):
		return &RefusedError{RejectCrypto}
	}
	if c.cfg.Filter != "" && len(h.filter) > 0 {
		// libsrt: what the listener answers holds, key by key.
		f, err := filter.Parse(string(h.filter))
		if err != nil {
			return &RefusedError{RejectFilter}
		}
		c.filter, c.filtered = f, true
		c.fec = filter.NewSender(f, c.longest()+c.seal.overhead())
	}
	c.state, c.them = connected, h.id
	c.heard = now
	if d := time.Duration(h.recvDelay) * time.Millisecond; d > 0 {
		c.latency = d
	}
	c.tooLate = h.flags&flagTLPktDrop != 0
	c.window = int64(min(max(h.window, 2), flowWindow))
	if !c.repeated {
		c.measured(now, now-c.concluded, (now-c.concluded)/2)
	}
	return nil
}

// longest is how many bytes a payload may have.
func (c *Caller) longest() int {
	if c.cfg.Filter != "" {
		return filteredPayload
	}
	return MaxPayload - c.seal.overhead()
}

// measured takes a round trip, as it stands: ACKs carry the smoothed one. Of the variance that a peer tells, which may be made up so that we resend
// sooner (Conn.tellVariance), no more is believed than its round trips show: each step of those is an eighth of what a sample was off (draft §4.10).
func (c *Caller) measured(now, rtt, variance time.Duration) {
	rtt, variance = min(max(rtt, 100*time.Microsecond), maxRTT), min(variance, maxRTT)
	if !c.sampled {
		c.rttShown = variance
	} else {
		c.rttShown += (min(8*(rtt-c.rtt).Abs(), maxRTT) - c.rttShown) / 4
	}
	c.rtt, c.rttV, c.sampled = rtt, min(variance, c.rttShown), true
	c.least.sample(now, c.rtt)
}

// maxRTT is the longest round trip that is believed; ours.
const maxRTT = 10 * time.Second
