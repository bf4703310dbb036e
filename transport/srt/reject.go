package srt

import "fmt"

// RejectCode is why a handshake is refused, as on the wire: libsrt's own reasons are 1000 + n; those an application
// gives (access-control.md, after HTTP) are 1000 more than its constants: SRT_REJX_UNAUTHORIZED 1401 is sent as 2401.
type RejectCode uint32

// Reasons of the protocol, libsrt srt.h SRT_REJECT_REASON.
const (
	RejectResource   RejectCode = 1003
	RejectRogue      RejectCode = 1004 // a handshake that makes no sense
	RejectVersion    RejectCode = 1008
	RejectBadSecret  RejectCode = 1010
	RejectUnsecure   RejectCode = 1011
	RejectMessageAPI RejectCode = 1012 // it wants file mode
	RejectCongestion RejectCode = 1013
	RejectFilter     RejectCode = 1014
	RejectGroup      RejectCode = 1015
	RejectCrypto     RejectCode = 1017
)

// RejectReason says what the code means.
func (c RejectCode) String() string {
	switch c {
	case RejectResource:
		return "no room"
	case RejectRogue:
		return "a handshake that makes no sense"
	case RejectVersion:
		return "too old: handshake version 5 (SRT 1.3.0) is the least"
	case RejectBadSecret:
		return "wrong passphrase"
	case RejectUnsecure:
		return "one side has a passphrase and the other has none"
	case RejectMessageAPI:
		return "file mode is not spoken here"
	case RejectCongestion:
		return "another congestion control than live"
	case RejectFilter:
		return "a packet filter that is not understood"
	case RejectGroup:
		return "a bonding group of another type than broadcast and backup"
	case RejectCrypto:
		return "this form of encryption is not supported: AES-CTR, or AES-GCM of SRT 1.5.4 and later"
	}
	return fmt.Sprintf("code %d", uint32(c))
}
