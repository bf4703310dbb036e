package wire

import (
	"encoding/binary"
	"time"
)

// Numbers of RFC 8888 §3.1.
const (
	feedbackType   = 205 // RTPFB
	feedbackFormat = 11
	feedbackFixed  = 20 // header, both SSRCs, sequence and count, report time

	offsetOver    = 0x1ffe // arrived 8.0 s or longer before the report
	offsetUnknown = 0x1fff
)

// MaxMetrics is how many packets one report may speak of: ours. It fits an IPv4 datagram of 1200 bytes.
const MaxMetrics = 512

// Metric is what a report says about one packet: R (1 bit), ECN (2), arrival offset (13).
type Metric uint16

// NewMetric describes a packet that arrived offset before the report, with its ECN bits.
func NewMetric(offset time.Duration, ecn uint8) Metric {
	ticks := max((offset*1024+time.Second/2)/time.Second, 0)
	return Metric(1<<15 | uint16(ecn&3)<<13 | uint16(min(ticks, offsetOver)))
}

// NewUnused describes a packet that arrived and was of no use to the receiver although it lacks what the packet was for. RFC 8888 §3.1 has a value for an
// arrival without a time, which nothing else here makes use of.
func NewUnused(ecn uint8) Metric { return Metric(1<<15 | uint16(ecn&3)<<13 | offsetUnknown) }

// Unused reports whether it is of NewUnused.
func (m Metric) Unused() bool { return m.Received() && m&0x1fff == offsetUnknown }

// Received reports whether the packet arrived.
func (m Metric) Received() bool { return m&(1<<15) != 0 }

// ECN returns the ECN field of its IP header.
func (m Metric) ECN() uint8 { return uint8(m>>13) & 3 }

// Offset is how long before the report it arrived; ok false: not known or 8 s and more.
func (m Metric) Offset() (d time.Duration, ok bool) {
	ticks := m & 0x1fff
	return time.Duration(ticks) * time.Second / 1024, ticks < offsetOver
}

// Feedback is a report about the packets Begin..Begin+Len()-1 of one path.
type Feedback struct {
	Sender uint32 // SSRC of who reports
	Media  uint32 // SSRC of what it reports on
	Begin  uint16
	Time   uint32 // receiver's clock, 1/65536 s, low 32 bits
	blocks []byte
}

// Len is the number of packets the report speaks of.
func (f *Feedback) Len() int { return len(f.blocks) / 2 }

// Metric returns what it says about packet Begin+i.
func (f *Feedback) Metric(i int) Metric { return Metric(binary.BigEndian.Uint16(f.blocks[2*i:])) }

// ReportTime turns a clock reading into the unit of Feedback.Time.
func ReportTime(sinceZero time.Duration) uint32 {
	s, r := sinceZero/time.Second, sinceZero%time.Second
	return uint32(s)<<16 + uint32(r*65536/time.Second)
}

// AppendFeedback appends a plain RTCP packet with one block. At most MaxMetrics metrics.
func AppendFeedback(dst []byte, sender, media uint32, begin uint16, metrics []Metric, at uint32) []byte {
	n := len(metrics)
	words := (feedbackFixed+2*(n+n%2))/4 - 1
	dst = append(dst, 0x80|feedbackFormat, feedbackType, byte(words>>8), byte(words))
	dst = binary.BigEndian.AppendUint32(dst, sender)
	dst = binary.BigEndian.AppendUint32(dst, media)
	dst = binary.BigEndian.AppendUint16(dst, begin)
	dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	for _, m := range metrics {
		dst = binary.BigEndian.AppendUint16(dst, uint16(m))
	}
	if n%2 != 0 {
		dst = append(dst, 0, 0)
	}
	return binary.BigEndian.AppendUint32(dst, at)
}

// ParseFeedback parses a plain RTCP packet with one block. The result is a view into b.
func ParseFeedback(b []byte) (f Feedback, err error) {
	if len(b) < feedbackFixed || b[0] != 0x80|feedbackFormat || b[1] != feedbackType {
		return f, ErrMalformed
	}
	n := int(binary.BigEndian.Uint16(b[14:]))
	size := feedbackFixed + 2*(n+n%2)
	if n > MaxMetrics || len(b) != size || int(binary.BigEndian.Uint16(b[2:])) != size/4-1 {
		return f, ErrMalformed
	}
	return Feedback{
		Sender: binary.BigEndian.Uint32(b[4:]),
		Media:  binary.BigEndian.Uint32(b[8:]),
		Begin:  binary.BigEndian.Uint16(b[12:]),
		Time:   binary.BigEndian.Uint32(b[size-4:]),
		blocks: b[16 : 16+2*n],
	}, nil
}
