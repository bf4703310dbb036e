package emu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bench/netem"
)

const (
	// tcpSegment is how much of a stream counts as one packet: what fits 1500 bytes with both headers and timestamps.
	tcpSegment = 1448
	tcpHeaders = 52
	// tcpInFlight bounds the segments on their way on one connection and direction, 1.5 MB; when full, reading waits.
	tcpInFlight = 1024
)

// A TCPProxy stands between TCP clients and a target and adds the link's delays and rates to their streams, without
// privilege. It cannot lose packets: both of its connections are the kernel's, which hides loss from us and ours from it.
// So loss, duplicates, corruption and order have no effect, a full queue makes the sender wait, and only a Pair compares
// TCP fairly with anything. Delays are late by up to a millisecond or two (Go's timers).
//
// Goroutines: one that accepts, and four for each connection; Close ends them and waits.
type TCPProxy struct {
	listener net.Listener
	target   netip.AddrPort
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	start    time.Time

	mu    sync.Mutex // guards links
	links [2]*netem.Link
}

// NewTCPProxy listens on listen (port 0: any) and forwards to target.
func NewTCPProxy(listen, target netip.AddrPort, config Config) (*TCPProxy, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", listen.String())
	if err != nil {
		return nil, fmt.Errorf("emu: TCP proxy: %w", err)
	}
	p := &TCPProxy{listener: ln, target: target, start: time.Now()}
	p.links = [2]*netem.Link{
		netem.Up:   netem.NewLink(delaysOnly(config.Up), config.Seed, netem.Up),
		netem.Down: netem.NewLink(delaysOnly(config.Down), config.Seed, netem.Down),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Go(p.accept)
	return p, nil
}

// delaysOnly removes what a stream cannot suffer.
func delaysOnly(c netem.Config) netem.Config {
	c.Loss, c.Reorder, c.Duplicate, c.Corrupt, c.CoDel = netem.Loss{}, netem.Reorder{}, netem.Chance{}, netem.Chance{}, netem.CoDel{}
	var steps []netem.Step
	for _, s := range c.Schedule {
		switch s.Kind {
		case netem.StepLoss:
			continue
		case netem.StepOutage:
			s.Kind = netem.StepStall
		case netem.StepHandover:
			if s.For == 0 {
				continue
			}
			s.Kind = netem.StepStall
		}
		steps = append(steps, s)
	}
	c.Schedule = steps
	return c
}

// Addr is where clients connect to.
func (p *TCPProxy) Addr() netip.AddrPort { return p.listener.Addr().(*net.TCPAddr).AddrPort() }

// Counters of clients → target and back; sizes count headers as if each segment were a packet.
func (p *TCPProxy) Counters() (up, down Counters) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for dir, c := range [2]*Counters{&up, &down} {
		c.Counters = p.links[dir].Counters()
		c.Sent, c.SentBytes = c.Delivered, c.DeliveredBytes
	}
	return up, down
}

// Close cuts every connection. It is called once.
func (p *TCPProxy) Close() error {
	p.cancel()
	err := p.listener.Close()
	p.wg.Wait()
	return err
}

func (p *TCPProxy) accept() {
	for {
		in, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors: others may close some
			continue
		}
		p.wg.Go(func() { p.serve(in.(*net.TCPConn)) })
	}
}

func (p *TCPProxy) serve(in *net.TCPConn) {
	defer in.Close()
	c, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(p.ctx, "tcp", p.target.String())
	if err != nil {
		return
	}
	out := c.(*net.TCPConn)
	defer out.Close()
	stop := context.AfterFunc(p.ctx, func() { in.Close(); out.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { p.carry(netem.Up, out, in) })
	wg.Go(func() { p.carry(netem.Down, in, out) })
	wg.Wait()
}

type segment struct {
	data []byte
	at   time.Duration
}

// carry moves one direction of one connection.
func (p *TCPProxy) carry(dir netem.Direction, to, from *net.TCPConn) {
	queue := make(chan segment, tcpInFlight)
	go func() {
		defer close(queue)
		var last time.Duration
		for {
			b := make([]byte, tcpSegment)
			n, err := from.Read(b)
			if n > 0 {
				last = max(last, p.admit(dir, n))
				queue <- segment{b[:n], last}
			}
			if err != nil || p.ctx.Err() != nil {
				return
			}
		}
	}()
	broken := false
	for s := range queue {
		if broken || !p.sleepUntil(s.at) {
			continue
		}
		if _, err := to.Write(s.data); err != nil {
			broken = true
			_ = from.CloseRead()
		}
	}
	_ = to.CloseWrite()
}

// sleepUntil returns at a time since the start; false: the proxy closed first.
func (p *TCPProxy) sleepUntil(at time.Duration) bool {
	t := time.NewTimer(at - time.Since(p.start))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// admit says when a segment is due, and waits for room where the link's queue is full.
func (p *TCPProxy) admit(dir netem.Direction, n int) time.Duration {
	for {
		p.mu.Lock()
		at, fate := p.links[dir].Admit(time.Since(p.start), n+tcpHeaders)
		p.mu.Unlock()
		if fate.Drop == netem.Delivered || p.ctx.Err() != nil {
			return at
		}
		time.Sleep(time.Millisecond)
	}
}
