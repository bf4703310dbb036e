package quiclink

import "net/netip"

// amplification is how many times what came from an address may go to it before it is validated: RFC 9000 §8.
const amplification = 3

// returnPath decides where feedback goes.
//
// "an endpoint MUST NOT send more than three times as many bytes as the number of bytes it has received" (RFC 9000 §8)
// from an address that QUIC has not validated; and it moves there at all only after a packet newer than all before has
// authenticated from it, so that a copy of an old packet moves nothing.
type returnPath struct {
	valid netip.AddrPort // QUIC validated it
	next  netip.AddrPort // where newer packets come from now; the zero value: from valid

	received, sent int // bytes from and to next
}

// heard is told of every authenticated packet; newest says that its index was the highest so far.
func (r *returnPath) heard(from netip.AddrPort, size int, newest bool) {
	if newest && from == r.valid {
		r.next = netip.AddrPort{}
	}
	if newest && from != r.valid && from != r.next {
		r.next, r.received, r.sent = from, 0, 0
	}
	if from == r.next {
		r.received += size
	}
}

// to returns where size bytes go, quic being the address QUIC has validated last; false: nowhere.
func (r *returnPath) to(quic netip.AddrPort, size int) (netip.AddrPort, bool) {
	if r.next.IsValid() && r.next == quic {
		r.valid, r.next = quic, netip.AddrPort{}
	}
	if !r.next.IsValid() {
		return r.valid, true
	}
	if r.sent+size > amplification*r.received {
		return netip.AddrPort{}, false
	}
	r.sent += size
	return r.next, true
}
