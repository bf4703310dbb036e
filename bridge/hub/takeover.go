package hub

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Policy says which of two publishers of one key keeps it.
type Policy uint8

// The policies.
const (
	TakeIdle   Policy = iota // the first, until nothing was heard of it for Takeover.Idle
	TakeNewest               // the newest when its Identity is the first one's; else as TakeIdle
	TakeNever                // the first, until it ends
)

// Takeover is a policy and its patience.
type Takeover struct {
	Policy Policy
	Idle   time.Duration // 0: Config.Idle
}

// The guard against two publishers that replace each other for ever: warTakeovers within warWithin, and the one that has the key then
// keeps it, as under TakeIdle, until nobody has tried to take it for warPeace. Ours; brpc's media server describes the loop.
const (
	warTakeovers = 3
	warWithin    = 10 * time.Second
	warPeace     = 30 * time.Second
)

// ErrKickWar is an ErrInUse: publishers of the same identity replaced each other too often.
var ErrKickWar = fmt.Errorf("%w, and the two kept replacing each other", ErrInUse)

// succession remembers who took whose place. It is guarded by stream.mu.
type succession struct {
	taken [warTakeovers]time.Time // the latest takeovers of a publisher that was heard of, oldest first
	war   time.Time               // when somebody last tried while there was a war; zero: peace
}

// mayTake reports whether a new publisher takes the place of old, and why not.
func (s *stream) mayTake(old *Publisher, info PublisherInfo, now time.Time) error {
	t := Takeover{}
	if s.hub.cfg.Takeover != nil {
		t = s.hub.cfg.Takeover(s.name)
	}
	if t.Policy == TakeNever {
		return ErrInUse
	}
	if t.Idle == 0 {
		t.Idle = s.hub.cfg.Idle
	}
	if now.Sub(old.heard) >= t.Idle {
		return nil
	}
	if t.Policy != TakeNewest || info.Identity == "" || info.Identity != old.info.Identity {
		return ErrInUse
	}
	k := &s.succession
	if !k.war.IsZero() && now.Sub(k.war) < warPeace || !k.taken[0].IsZero() && now.Sub(k.taken[0]) < warWithin {
		k.war = now
		return ErrKickWar
	}
	copy(k.taken[:], k.taken[1:])
	k.taken[warTakeovers-1] = now
	k.war = time.Time{}
	return nil
}

var policies = [...]string{"idle", "newest", "reject"}

func (p Policy) String() string {
	if int(p) < len(policies) {
		return policies[p]
	}
	return "unknown"
}

// ParseTakeover reads idle, newest or reject; the first two with a patience of their own, such as idle:5s.
func ParseTakeover(s string) (Takeover, error) {
	name, idle, has := strings.Cut(s, ":")
	t := Takeover{}
	i := slices.Index(policies[:], name)
	if i < 0 {
		return t, fmt.Errorf("hub: takeover %q is none of %s", s, strings.Join(policies[:], ", "))
	}
	t.Policy = Policy(i)
	if !has {
		return t, nil
	}
	d, err := time.ParseDuration(idle)
	if err != nil || d <= 0 || d > time.Minute || t.Policy == TakeNever {
		return t, fmt.Errorf("hub: takeover %q: want idle:5s or newest:5s, at most 1m", s)
	}
	t.Idle = d
	return t, nil
}
