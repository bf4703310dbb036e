package rtmpout

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/fairlead-live/fairlead/bridge/rtmp"
)

// Cause says why a session ended or did not begin.
type Cause uint8

// Causes.
const (
	CauseRefused   Cause = iota // no connection: refused, unreachable, unknown host, TLS
	CauseTimeout                // dialling or setting up took too long
	CauseStalled                // the destination did not read: a write timed out
	CauseLost                   // the connection broke or the peer closed it
	CauseProtocol               // the peer's bytes make no sense
	CauseBadName                // the key is in use: our own dead session, most likely
	CauseAuth                   // credentials
	CauseRejected               // any other refusal of the server
	CauseRedirect               // the server sent us elsewhere, or asked us to move
	CauseRenew                  // our own clean republish, before times reach 2^31 ms
	CauseStreamEnd              // the stream in the hub is over
	numCauses
)

func (c Cause) String() string {
	if c < numCauses {
		return [...]string{"refused", "timeout", "stalled", "lost", "protocol", "bad_name", "auth", "rejected", "redirect", "renew", "stream_end"}[c]
	}
	return "unknown"
}

// Errors of our own that decide a cause.
var (
	errStalled   = errors.New("rtmpout: destination does not read")
	errSetup     = errors.New("rtmpout: destination does not answer")
	errDial      = errors.New("rtmpout: dial")
	errRenew     = errors.New("rtmpout: times are used up")
	errStreamEnd = errors.New("rtmpout: stream ended")
)

// movedError is E-RTMP's ReconnectRequest.
type movedError struct{ tcURL string }

func (e *movedError) Error() string { return "rtmpout: the server asks to reconnect" }

func causeOf(err error) Cause {
	_, moved := errors.AsType[*movedError](err)
	switch {
	case errors.Is(err, errStreamEnd):
		return CauseStreamEnd
	case errors.Is(err, errRenew):
		return CauseRenew
	case moved, errors.Is(err, rtmp.ErrRedirect):
		return CauseRedirect
	case errors.Is(err, rtmp.ErrBadName):
		return CauseBadName
	case errors.Is(err, rtmp.ErrUnauthorized):
		return CauseAuth
	case errors.Is(err, rtmp.ErrRejected), errors.Is(err, rtmp.ErrNotFound), errors.Is(err, rtmp.ErrURL):
		return CauseRejected
	case errors.Is(err, rtmp.ErrProtocol):
		return CauseProtocol
	case errors.Is(err, errStalled):
		return CauseStalled
	case errors.Is(err, errSetup), isTimeout(err):
		return CauseTimeout
	case errors.Is(err, errDial) || errors.Is(err, syscall.ECONNREFUSED):
		return CauseRefused
	default:
		return CauseLost
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// Backoff sets how long to wait before the next attempt; zero values give the defaults named.
type Backoff struct {
	First       time.Duration // the second wait: the first is none at all; doubled from then on; 500 ms
	Max         time.Duration // 15 s
	Jitter      float64       // each wait ± this share; 0.2
	ResetAfter  time.Duration // a session this long makes the next failure the first; 30 s
	BadName     time.Duration // the key is in use: this, BadNameTries times, then as for the rest; 1 s
	BadNameMany int           // 30
	Parked      time.Duration // refused for who we are; 60 s
}

func (b *Backoff) defaults() {
	b.First = cmp.Or(b.First, 500*time.Millisecond)
	b.Max = cmp.Or(b.Max, 15*time.Second)
	b.Jitter = cmp.Or(b.Jitter, 0.2)
	b.ResetAfter = cmp.Or(b.ResetAfter, 30*time.Second)
	b.BadName = cmp.Or(b.BadName, time.Second)
	b.BadNameMany = cmp.Or(b.BadNameMany, 30)
	b.Parked = cmp.Or(b.Parked, time.Minute)
}

const maxRedirects = 3 // in a row; research: what legacy tiers need

// backoffState counts the failures in a row.
type backoffState struct {
	failures  int
	badNames  int
	redirects int
}

// next returns the wait after a session that was live for so long and ended with cause. random: 0..1.
func (s *backoffState) next(b *Backoff, cause Cause, live time.Duration, random float64) time.Duration {
	if live >= b.ResetAfter {
		*s = backoffState{}
	}
	jitter := func(d time.Duration) time.Duration {
		return time.Duration(float64(d) * (1 + b.Jitter*(2*random-1)))
	}
	switch cause {
	case CauseStreamEnd, CauseRenew:
		*s = backoffState{}
		return 0
	case CauseBadName:
		if s.badNames++; s.badNames <= b.BadNameMany {
			return b.BadName
		}
	case CauseAuth:
		return jitter(b.Parked)
	case CauseRedirect:
		if s.redirects++; s.redirects <= maxRedirects {
			return 0
		}
	}
	s.failures++
	if s.failures == 1 {
		return 0
	}
	d := b.First
	for i := 2; i < s.failures && d < b.Max; i++ {
		d *= 2
	}
	return jitter(min(d, b.Max))
}
