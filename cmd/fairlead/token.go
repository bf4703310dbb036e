package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bridge/auth"
	"github.com/fairlead-live/fairlead/bridge/config"
)

// runToken prints an expiring token and where it goes in each protocol's URL.
func runToken(e env) error {
	var cfg config.Relay
	var last time.Duration
	var watch, once bool
	set := config.NewSet("relay token")
	set.List(&cfg.AuthSecret, "auth-secret", "`SECRET` of the relay; the first signs")
	set.Duration(&last, "last", 24*time.Hour, "how long the token is good")
	set.Bool(&watch, "watch", false, "for playing instead of publishing")
	set.Bool(&once, "once", false, "good only from the first address that uses it")
	rest, err := parse(e, set, "fairlead relay token APP/KEY [SETTINGS]: make an expiring token; APP/* is for every stream of an app.")
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return fmt.Errorf("%w: fairlead relay token wants one APP/KEY", config.ErrUsage)
	}
	if err := config.ValidName(strings.TrimSuffix(rest[0], "*") + "x"); err != nil {
		return fmt.Errorf("%w: %w", config.ErrUsage, err)
	}
	if len(cfg.AuthSecret) == 0 {
		return fmt.Errorf("%w: a token is signed with the relay's auth-secret: give --auth-secret or FAIRLEAD_AUTH_SECRET", config.ErrUsage)
	}
	if _, err := auth.New(auth.Config{Secrets: cfg.AuthSecret}); err != nil {
		return fmt.Errorf("%w: %w", config.ErrUsage, err)
	}
	secret, err := auth.Secret(cfg.AuthSecret[0])
	if err != nil {
		return fmt.Errorf("%w: auth-secret: %w", config.ErrUsage, err)
	}
	if last <= 0 {
		return fmt.Errorf("%w: last: %v is over already", config.ErrUsage, last)
	}
	fmt.Fprintln(e.stdout, auth.Token([]byte(secret), rest[0], !watch, watch, once, time.Now().Add(last)))
	return nil
}
