package main

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"
)

// notifier tells systemd how a service is (sd_notify(3)); without NOTIFY_SOCKET it says nothing.
type notifier struct {
	socket   string
	watchdog time.Duration // how often it wants to hear of us; 0: never
}

func newNotifier(environ []string) notifier {
	var n notifier
	for _, e := range environ {
		switch k, v, _ := strings.Cut(e, "="); k {
		case "NOTIFY_SOCKET":
			n.socket = v
		case "WATCHDOG_USEC":
			if us, err := strconv.ParseInt(v, 10, 64); err == nil && us > 0 {
				n.watchdog = time.Duration(us) * time.Microsecond / 2 // sd_watchdog_enabled(3): half of it
			}
		}
	}
	return n
}

// say sends one state; a systemd that does not hear it is no error of ours.
func (n notifier) say(state string) {
	if n.socket == "" {
		return
	}
	name := n.socket
	if strings.HasPrefix(name, "@") { // an abstract socket
		name = "\x00" + name[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Write([]byte(state))
}

// watch says that the service is well as often as it must, until ctx ends. alive does not return while something is stuck.
func (n notifier) watch(ctx context.Context, alive func()) {
	if n.socket == "" || n.watchdog == 0 {
		return
	}
	tick := time.NewTicker(n.watchdog)
	defer tick.Stop()
	for {
		alive()
		n.say("WATCHDOG=1")
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
