package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bench/emu"
	"github.com/fairlead-live/fairlead/bench/netem"
)

const linkHelp = `usage: fairlead bench link PROFILE [flags] -- COMMAND…
       fairlead bench link PROFILE --udp LISTEN=TARGET [flags] [-- COMMAND…]
       fairlead bench link PROFILE --tcp LISTEN=TARGET [flags] [-- COMMAND…]

PROFILE is a name of 'fairlead bench list', a YAML file, or netem words in quotes: "delay 30ms loss random 5%".

The first form runs COMMAND in a network namespace (near) whose only way out is the link, to a second namespace (far).
It needs CAP_NET_ADMIN and CAP_SYS_ADMIN, and counts loss per IP packet, kernel TCP included.
  near is 10.99.0.1 and fd99::1, far is 10.99.0.2 and fd99::2; COMMAND finds them in FAIRLEAD_NEAR and FAIRLEAD_FAR.
  --forward tcp:1935,udp:8890 puts services of this machine's loopback at the far address:
      fairlead bench link lte-driving --forward tcp:1935 -- ffmpeg … -f flv rtmp://10.99.0.2/live/key
  --far 'CMD' runs a program on the far side, through sh, before COMMAND; it is interrupted after COMMAND ends.
A name server, the internet and other interfaces are not reachable from inside.

--udp needs no privilege: a proxy on LISTEN (PORT or HOST:PORT; PORT alone means loopback) that stands for the link to
TARGET. --tcp adds delays and rates only: in user space TCP cannot lose packets. To judge TCP, use the first form.

--tc prints the same link for the kernel's netem, where it has one: a profile with a trace, a schedule or a managed queue is
refused, for tc has no word for it. tc's own loss draws are not ours: the statistics agree, the packet numbers do not.

The counters of both directions go to stderr at the end. Flags:
`

// linkFlags are the flags of `fairlead bench link`.
type linkFlags struct {
	seed       uint64
	traces     string
	verdicts   string
	forward    string
	far        string
	settle     time.Duration
	udp, tcp   string
	mtu        int
	congestion string
	tc         string
}

func (f *linkFlags) define(fs *flag.FlagSet) {
	fs.Uint64Var(&f.seed, "seed", 1, "of everything random: the same seed loses the same packets")
	fs.StringVar(&f.traces, "traces", "", "`DIR` of recorded traces, instead of the built-in ones")
	fs.StringVar(&f.verdicts, "verdicts", "", "write each packet's fate to `FILE`")
	fs.StringVar(&f.forward, "forward", "", "`LIST` of tcp:PORT, udp:PORT or proto:PORT=HOST:PORT to reach at the far address")
	fs.StringVar(&f.far, "far", "", "`COMMAND` to run on the far side")
	fs.DurationVar(&f.settle, "settle", 300*time.Millisecond, "time for --far to get ready before COMMAND starts")
	fs.StringVar(&f.udp, "udp", "", "`LISTEN=TARGET` of a UDP proxy instead of namespaces")
	fs.StringVar(&f.tcp, "tcp", "", "`LISTEN=TARGET` of a TCP proxy (delays and rates only)")
	fs.IntVar(&f.mtu, "mtu", 1500, "largest IP packet in the namespaces")
	fs.StringVar(&f.tc, "tc", "", "print the commands that give kernel devices this link: `DEVICE` of the near side, or NEAR,FAR")
	fs.StringVar(&f.congestion, "congestion-control", "", "of TCP in the namespaces: `NAME`, such as cubic or bbr")
}

func linkMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	own, words := split(args)
	var f linkFlags
	fs := flag.NewFlagSet("fairlead bench link", flag.ContinueOnError)
	f.define(fs)
	fs.Usage = func() { fmt.Fprint(stderr, linkHelp); fs.PrintDefaults() }
	profile, code, ok := parse(fs, own, 1, stderr)
	if !ok {
		return code
	}
	proxy := f.udp != "" || f.tcp != ""
	switch {
	case len(profile) == 0:
		return misuse(stderr, "link: which profile? `fairlead bench link -h` explains")
	case len(words) == 0 && !proxy && f.tc == "":
		return misuse(stderr, "link: which command? put it after --, or use --udp LISTEN=TARGET")
	case proxy && (f.forward != "" || f.far != "" || f.congestion != ""):
		return misuse(stderr, "link: --forward, --far and --congestion-control belong to namespaces, not to a proxy")
	}
	up, down, err := resolve(profile[0], f.traces)
	if err != nil {
		return misuse(stderr, "link: %v", err)
	}
	if f.tc != "" {
		return printTC(f.tc, up, down, stdout, stderr)
	}
	config := emu.Config{Up: up, Down: down, Seed: f.seed, MTU: f.mtu, CongestionControl: f.congestion}
	var log *os.File
	if f.verdicts != "" {
		if log, err = os.Create(f.verdicts); err != nil {
			return fail(stderr, "link: %v", err)
		}
		defer log.Close()
		config.Verdicts = log
	}
	shared(&stdout, &stderr)
	defer punctual()()
	if proxy {
		err = f.proxies(ctx, config, words, stdout, stderr)
	} else {
		err = f.namespaces(ctx, config, words, stdout, stderr)
	}
	return exitCode(err, stderr)
}

// printTC prints the words of tc for the near device and, when there is one, the far device.
func printTC(devices string, up, down netem.Config, stdout, stderr io.Writer) int {
	near, far, both := strings.Cut(devices, ",")
	line, err := emu.TCCommand(near, up)
	if err != nil {
		return misuse(stderr, "link: --tc: up: %v", err)
	}
	fmt.Fprintln(stdout, line)
	if both {
		if line, err = emu.TCCommand(far, down); err != nil {
			return misuse(stderr, "link: --tc: down: %v", err)
		}
		fmt.Fprintln(stdout, line)
	}
	return exitOK
}

func misuse(stderr io.Writer, format string, args ...any) int {
	fmt.Fprintf(stderr, "fairlead bench "+format+"\n", args...)
	return exitUsage
}

func fail(stderr io.Writer, format string, args ...any) int {
	misuse(stderr, format, args...)
	return exitFail
}

// A usageError is the user's: what was typed makes no sense.
type usageError struct{ error }

// exitCode passes a command's exit code on, as a shell does: 128 and the signal when one ended it.
func exitCode(err error, stderr io.Writer) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if code := exit.ExitCode(); code >= 0 {
			return code
		}
		return 128 + signalOf(exit)
	}
	if u, ok := errors.AsType[usageError](err); ok {
		return misuse(stderr, "link: %v", u)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return fail(stderr, "link: %v", err)
	}
	return exitOK
}

func (f *linkFlags) namespaces(ctx context.Context, config emu.Config, words []string, stdout, stderr io.Writer) (err error) {
	forwards, err := parseForwards(f.forward)
	if err != nil {
		return usageError{fmt.Errorf("--forward: %w", err)}
	}
	p, err := emu.NewPair(config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	for _, fw := range forwards {
		if err := p.Forward(fw.network, fw.port, fw.target); err != nil {
			return err
		}
		fmt.Fprintf(stderr, "link: %s %v:%d is %s\n", fw.network, p.Addr(emu.Far), fw.port, fw.target)
	}
	command := func(side emu.Side, words ...string) *exec.Cmd {
		cmd := p.Command(side, words[0], words[1:]...)
		cmd.Env = append(os.Environ(), "FAIRLEAD_NEAR="+p.Addr(emu.Near).String(), "FAIRLEAD_FAR="+p.Addr(emu.Far).String())
		cmd.Stdout, cmd.Stderr, cmd.WaitDelay = stdout, stderr, time.Second
		return cmd
	}
	if f.far != "" {
		farCtx, end := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- emu.Run(farCtx, command(emu.Far, "sh", "-c", f.far)) }()
		defer func() { end(); <-done }()
		select {
		case err := <-done:
			done <- nil
			return fmt.Errorf("--far ended at once: %w", orEnded(err))
		case <-time.After(f.settle):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	fmt.Fprintf(stderr, "link: near %v, far %v, seed %d\n", p.Addr(emu.Near), p.Addr(emu.Far), config.Seed)
	near := command(emu.Near, words...)
	near.Stdin = os.Stdin
	p.Restart(config.Seed)
	err = emu.Run(ctx, near)
	up, down := p.Counters()
	fmt.Fprintf(stderr, "link: up   %v\nlink: down %v\n", up, down)
	warnLate(stderr, up, down)
	return err
}

func orEnded(err error) error {
	if err == nil {
		return errors.New("exit code 0")
	}
	return err
}

// warnLate says so when the machine was too busy for the figures to count.
func warnLate(stderr io.Writer, up, down emu.Counters) {
	if late := max(up.LateP99, down.LateP99); late > 2*time.Millisecond {
		fmt.Fprintf(stderr, "link: noisy: 1 %% of the packets left more than %v late: this machine was busy\n", late)
	}
	if n := up.HostDropped + down.HostDropped + up.Overflow + down.Overflow; n > 0 {
		fmt.Fprintf(stderr, "link: noisy: %d packets were lost by this machine, not by the link\n", n)
	}
}

// proxies runs the proxies, and the command beside them where there is one, until that or ctx ends.
func (f *linkFlags) proxies(ctx context.Context, config emu.Config, words []string, stdout, stderr io.Writer) (err error) {
	type proxy interface {
		Addr() netip.AddrPort
		Counters() (up, down emu.Counters)
		Close() error
	}
	for _, p := range []struct {
		name, spec string
		start      func(listen, target netip.AddrPort) (proxy, error)
	}{
		{"udp", f.udp, func(l, t netip.AddrPort) (proxy, error) { return emu.NewUDPProxy(l, t, config) }},
		{"tcp", f.tcp, func(l, t netip.AddrPort) (proxy, error) { return emu.NewTCPProxy(l, t, config) }},
	} {
		if p.spec == "" {
			continue
		}
		listen, target, err := parseProxy(p.spec)
		if err != nil {
			return usageError{fmt.Errorf("--%s: %w", p.name, err)}
		}
		run, err := p.start(listen, target)
		if err != nil {
			return err
		}
		fmt.Fprintf(stderr, "link: %s %v leads to %v behind the link, seed %d\n", p.name, run.Addr(), target, config.Seed)
		defer func() {
			up, down := run.Counters()
			fmt.Fprintf(stderr, "link: %s up   %v\nlink: %s down %v\n", p.name, up, p.name, down)
			warnLate(stderr, up, down)
			if e := run.Close(); err == nil {
				err = e
			}
		}()
	}
	if len(words) == 0 {
		<-ctx.Done()
		return nil
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = os.Stdin, stdout, stderr, time.Second
	emu.OwnGroup(cmd)
	return emu.Run(ctx, cmd)
}

// A forward is one service to be reached at the far address.
type forward struct {
	network string
	port    uint16
	target  string
}

// parseForwards reads tcp:1935,udp:8890=127.0.0.1:9000.
func parseForwards(list string) (all []forward, err error) {
	for word := range strings.SplitSeq(list, ",") {
		if word == "" {
			continue
		}
		listen, target, hasTarget := strings.Cut(word, "=")
		network, port, _ := strings.Cut(listen, ":")
		n, err := strconv.ParseUint(port, 10, 16)
		if network != "tcp" && network != "udp" || err != nil || n == 0 {
			return nil, fmt.Errorf("%q: want tcp:PORT or udp:PORT, and =HOST:PORT when it is not this machine's loopback", word)
		}
		if !hasTarget {
			target = net.JoinHostPort("127.0.0.1", port)
		} else if _, _, err := net.SplitHostPort(target); err != nil {
			return nil, fmt.Errorf("%q: %w", word, err)
		}
		all = append(all, forward{network, uint16(n), target})
	}
	return all, nil
}

// parseProxy reads LISTEN=TARGET; a port alone means this machine's loopback.
func parseProxy(spec string) (listen, target netip.AddrPort, err error) {
	from, to, ok := strings.Cut(spec, "=")
	if !ok {
		return listen, target, fmt.Errorf("%q: want LISTEN=TARGET, such as 9000=127.0.0.1:8890", spec)
	}
	if listen, err = addrPort(from); err == nil {
		target, err = addrPort(to)
	}
	return listen, target, err
}

func addrPort(s string) (netip.AddrPort, error) {
	if !strings.Contains(s, ":") {
		s = ":" + s
	}
	if strings.HasPrefix(s, ":") {
		s = "127.0.0.1" + s
	}
	a, err := net.ResolveUDPAddr("udp", s)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}
