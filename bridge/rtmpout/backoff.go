package rtmpout

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
)

// Cause says why a session ended or did not begin.
type Cause uint8

// Causes.
const (
	CauseRefused     Cause = iota // the host is there and nobody listens
	CauseUnreachable              // no connection: no route, unknown host, TLS
	CauseTimeout                  // dialling or setting up took too long
	CauseStalled                  // the destination did not take what was sent
	CauseLost                     // the connection broke or the peer closed it
	CauseProtocol                 // the peer's bytes make no sense
	CauseBadName                  // the key is in use: our own dead session, most likely
	CauseAuth                     // credentials
	CauseRejected                 // any other refusal of the server
	CauseRedirect                 // the server sent us elsewhere, or asked us to move
	CauseMoved                    // a new connection took over at a key frame
	CauseRenew                    // our own clean republish, before times reach 2^31 ms
	CauseCodec                    // our own clean republish, because the stream has another codec now
	CauseStreamEnd                // the stream in the hub is over
	CauseUnfit                    // the stream has a codec that the destination does not take (Options.Codecs)
	numCauses
)

func (c Cause) String() string {
	if c < numCauses {
		return [...]string{"refused", "unreachable", "timeout", "stalled", "lost", "protocol", "bad_name", "auth", "rejected", "redirect", "moved", "renew", "codec", "stream_end", "unfit"}[c]
	}
	return "unknown"
}

// Errors of our own that decide a cause.
var (
	errStalled   = errors.New("rtmpout: destination does not read")
	errSetup     = errors.New("rtmpout: destination does not answer")
	errDial      = errors.New("rtmpout: dial")
	errURL       = errors.New("rtmpout: destination")
	errRenew     = errors.New("rtmpout: times are used up")
	errCodec     = errors.New("rtmpout: the stream has another codec")
	errUnfit     = errors.New("rtmpout: the destination does not take the stream's codec")
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
	case errors.Is(err, hub.ErrSucceeded):
		return CauseMoved
	case errors.Is(err, errRenew):
		return CauseRenew
	case errors.Is(err, errUnfit):
		return CauseUnfit
	case errors.Is(err, errCodec):
		return CauseCodec
	case moved, errors.Is(err, rtmp.ErrRedirect):
		return CauseRedirect
	case errors.Is(err, rtmp.ErrBadName):
		return CauseBadName
	case errors.Is(err, rtmp.ErrUnauthorized):
		return CauseAuth
	case errors.Is(err, rtmp.ErrRejected), errors.Is(err, rtmp.ErrNotFound), errors.Is(err, rtmp.ErrURL), errors.Is(err, errURL):
		return CauseRejected
	case errors.Is(err, rtmp.ErrProtocol):
		return CauseProtocol
	case errors.Is(err, errSetup):
		return CauseTimeout
	case errors.Is(err, errStalled), errors.Is(err, syscall.ETIMEDOUT) && !errors.Is(err, errDial): // the kernel's: tcp.GiveUpAfter
		return CauseStalled
	case isTimeout(err):
		return CauseTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return CauseRefused
	case errors.Is(err, errDial):
		return CauseUnreachable
	default:
		return CauseLost
	}
}

// isClean says of an end that it was at a message's end and wished by us.
func (c Cause) isClean() bool {
	return c == CauseStreamEnd || c == CauseRenew || c == CauseMoved || c == CauseCodec
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// Backoff sets how long to wait before the next attempt, counted from the beginning of the last one; zero values give the defaults named.
type Backoff struct {
	First       time.Duration // the second wait: the first is none at all; doubled from then on; 500 ms
	Max         time.Duration // 15 s
	Jitter      float64       // each wait ± this share; 0.2
	ResetAfter  time.Duration // a session this long makes the next failure the first; 5 s
	Quick       time.Duration // nobody listens, which costs the host one packet: this for QuickFor, then as for the rest; 100 ms
	QuickFor    time.Duration // a server's restart; 10 s
	Silent      time.Duration // nobody answers: the attempt itself took seconds; 250 ms
	BadName     time.Duration // the key is in use: a quarter of this, half, then this BadNameTries times, then as for the rest; 1 s
	BadNameMany int           // 30
	Unfit       time.Duration // the stream's codec is one that the destination does not take: look again; 1 s
	Failed      time.Duration // refused for who we are, and with a fresh signature too; 60 s
}

func (b *Backoff) defaults() {
	b.First = cmp.Or(b.First, 500*time.Millisecond)
	b.Max = cmp.Or(b.Max, 15*time.Second)
	b.Jitter = cmp.Or(b.Jitter, 0.2)
	b.ResetAfter = cmp.Or(b.ResetAfter, 5*time.Second)
	b.Quick = cmp.Or(b.Quick, 100*time.Millisecond)
	b.QuickFor = cmp.Or(b.QuickFor, 10*time.Second)
	b.Silent = cmp.Or(b.Silent, 250*time.Millisecond)
	b.BadName = cmp.Or(b.BadName, time.Second)
	b.BadNameMany = cmp.Or(b.BadNameMany, 30)
	b.Unfit = cmp.Or(b.Unfit, time.Second)
	b.Failed = cmp.Or(b.Failed, time.Minute)
}

const (
	maxRedirects = 3 // in a row; research: what legacy tiers need
	// maxCut is how many attempts in a row may be cut off before that counts as a refusal. Ours.
	maxCut = 3
	// quickAgain is how long a session must have been live for its server's absence to be a restart. Ours.
	quickAgain = time.Second
)

// backoffState counts the failures in a row.
type backoffState struct {
	failures  int
	badNames  int
	redirects int
	auths     int
	quick     time.Duration // waited so far because nobody listened
	cut       int           // attempts that the server cut off
}

// next returns the wait after a session that was live for so long and ended with cause. random: 0..1.
func (s *backoffState) next(b *Backoff, cause Cause, live time.Duration, random float64) time.Duration {
	switch {
	case live >= b.ResetAfter:
		*s = backoffState{}
	case live >= quickAgain:
		s.quick, s.cut = 0, 0
	}
	jitter := func(d time.Duration) time.Duration {
		return time.Duration(float64(d) * (1 + b.Jitter*(2*random-1)))
	}
	switch cause {
	case CauseStreamEnd, CauseRenew, CauseMoved, CauseCodec:
		*s = backoffState{}
		return 0
	case CauseRefused:
		if s.quick < b.QuickFor {
			s.quick += b.Quick
			return jitter(b.Quick)
		}
	case CauseLost: // while it set up: a server on its way down, or up
		if live == 0 && s.cut < maxCut {
			s.cut++
			return jitter(b.Quick)
		}
	case CauseTimeout:
		return jitter(b.Silent)
	case CauseBadName:
		if s.badNames++; s.badNames <= b.BadNameMany {
			return b.BadName >> max(0, 3-s.badNames)
		}
	case CauseAuth:
		if s.auths++; s.auths == 1 {
			return 0
		}
		return jitter(b.Failed)
	case CauseUnfit: // looking again costs nothing: nobody is called
		return jitter(b.Unfit)
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
