package emu

import (
	"errors"
	"fmt"
	"io"

	"github.com/fairlead-live/fairlead/bench/netem"
)

// Errors of starting a link.
var (
	// ErrNotPermitted: the process may not make network namespaces or TUN devices. UDPProxy needs no permission.
	ErrNotPermitted = errors.New("needs CAP_NET_ADMIN and CAP_SYS_ADMIN (run as root) and /dev/net/tun")
	// ErrUnsupported: not Linux, or a kernel without TUN devices or network namespaces.
	ErrUnsupported = errors.New("not supported by this system")
)

// Side of a link. Near is where the sender of media is: it sends Up.
type Side int

const (
	Near Side = iota
	Far
)

func (s Side) String() string {
	if s == Near {
		return "near"
	}
	return "far"
}

// Config of a link. The zero value passes everything at once.
type Config struct {
	Up, Down netem.Config // near → far and far → near
	Seed     uint64

	// Verdicts, when not nil, gets each packet's fate as a line of netem.Verdict; ReadVerdicts reads them. It is
	// written from another goroutine until Close returns. After Restart the numbers begin again.
	Verdicts io.Writer

	// Of a Pair only: the largest IP packet (0: 1500), and the kernel's TCP congestion control in both namespaces,
	// such as cubic or bbr ("": the system's).
	MTU               int
	CongestionControl string
}

// Validate names what makes no sense.
func (c *Config) Validate() error {
	if err := c.Up.Validate(); err != nil {
		return fmt.Errorf("emu: up: %w", err)
	}
	if err := c.Down.Validate(); err != nil {
		return fmt.Errorf("emu: down: %w", err)
	}
	if c.MTU != 0 && (c.MTU < 1280 || c.MTU > 65535) { // RFC 8200 §5: IPv6 needs 1280
		return fmt.Errorf("emu: MTU %d is not in 1280..65535", c.MTU)
	}
	return nil
}
