package srtlink

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/fairlead-live/fairlead/transport/srt"
)

// Rejection is why a caller is turned away, and the code it reads in the handshake response.
//
// On the wire libsrt's own reasons are 1000 + n and those an application gives (access-control.md, after HTTP) 2000 + n - 1000:
// SRT_REJX_UNAUTHORIZED 1401 is sent as 2401.
type Rejection struct {
	Code   uint32 // as on the wire
	Reason string // for the log; the peer reads the code only
}

func (r *Rejection) Error() string { return fmt.Sprintf("srt: rejected with %d: %s", r.Code, r.Reason) }

// Codes as on the wire.
const (
	CodeBadSecret    = 1010
	CodeUnsecure     = 1011
	CodeBadRequest   = 2400
	CodeUnauthorized = 2401
	CodeOverload     = 2402
	CodeForbidden    = 2403
	CodeNotFound     = 2404
	CodeBadMode      = 2405
	CodeConflict     = 2409
	CodeInternal     = 2500
	CodeDown         = 2503
)

const turnedAway = "turned away"

// codeText says in words what a listener meant.
func codeText(code uint32) string {
	switch code {
	case CodeBadSecret:
		return "wrong passphrase"
	case CodeUnsecure:
		return "one side has a passphrase and the other has none"
	case CodeBadRequest:
		return "bad streamid"
	case CodeUnauthorized, CodeForbidden:
		return "not allowed: is the key right?"
	case CodeOverload:
		return "the relay is full"
	case CodeNotFound:
		return "no such stream"
	case CodeBadMode:
		return "wrong mode in the streamid"
	case CodeConflict:
		return "the key is in use"
	case CodeDown:
		return "the relay is going away"
	}
	return turnedAway
}

// refusal is codeText, or what the protocol's own codes mean.
func refusal(code srt.RejectCode) string {
	if s := codeText(uint32(code)); s != turnedAway || code >= 2000 {
		return s
	}
	return code.String()
}

// quietFor is how long the log says the same thing of the same host once: callers of libsrt try again every 10 ms.
const quietFor = 10 * time.Second

// quietMax bounds what quiet remembers.
const quietMax = 256

// quiet decides whether a rejection is news.
type quiet struct {
	seen map[quietKey]*quietEntry
}

type quietKey struct {
	host   netip.Addr
	reason string
}

type quietEntry struct {
	until time.Time
	more  int
}

// tell reports whether to log, and how often the same was left out since it was logged last.
func (q *quiet) tell(now time.Time, host netip.Addr, reason string) (more int, speak bool) {
	k := quietKey{host, reason}
	if e := q.seen[k]; e != nil && now.Before(e.until) {
		e.more++
		return 0, false
	} else if e != nil {
		more = e.more
	}
	if q.seen == nil || len(q.seen) >= quietMax {
		q.seen = map[quietKey]*quietEntry{}
	}
	q.seen[k] = &quietEntry{until: now.Add(quietFor)}
	return more, true
}
