package emu

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxForwardClients bounds the UDP clients of one forwarded port; datagrams of more are not carried on.
const maxForwardClients = 256

// Forward makes a service outside the namespaces reachable across the link: whoever connects to the far address on port
// (network tcp or udp) is connected to target, a host:port as this process sees it. It lasts until Close.
// UDP clients that were silent for two minutes may be forgotten.
//
// Goroutines: one for the port and two for each client; Close ends them and waits.
func (p *Pair) Forward(network string, port uint16, target string) error {
	if _, _, err := net.SplitHostPort(target); err != nil {
		return fmt.Errorf("emu: forward %s:%d: %w", network, port, err)
	}
	f := &forwarder{target: target, open: map[io.Closer]bool{}, clients: map[netip.AddrPort]*net.UDPConn{}}
	var err error
	switch network {
	case "tcp":
		var ln net.Listener
		err = p.Do(Far, func() error { ln, err = net.Listen("tcp", fmt.Sprintf(":%d", port)); return err })
		if err == nil {
			f.keep(ln)
			f.wg.Go(func() { f.tcp(ln) })
		}
	case "udp":
		var c *net.UDPConn
		err = p.Do(Far, func() error { c, err = net.ListenUDP("udp", &net.UDPAddr{Port: int(port)}); return err })
		if err == nil {
			_ = c.SetReadBuffer(socketBuffer)
			f.keep(c)
			f.wg.Go(func() { f.udp(c) })
		}
	default:
		err = fmt.Errorf("network %q is neither tcp nor udp", network)
	}
	if err != nil {
		return fmt.Errorf("emu: forward %s:%d: %w", network, port, err)
	}
	p.forwards = append(p.forwards, f)
	return nil
}

// A forwarder is one forwarded port and its clients.
type forwarder struct {
	target string
	wg     sync.WaitGroup

	mu      sync.Mutex // guards open, closed, clients
	open    map[io.Closer]bool
	closed  bool
	clients map[netip.AddrPort]*net.UDPConn
}

// keep remembers what close has to close; false: closed already, and so is c.
func (f *forwarder) keep(c io.Closer) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		c.Close()
		return false
	}
	f.open[c] = true
	return true
}

func (f *forwarder) drop(c io.Closer) {
	f.mu.Lock()
	delete(f.open, c)
	f.mu.Unlock()
	c.Close()
}

func (f *forwarder) close() {
	f.mu.Lock()
	f.closed = true
	for c := range f.open {
		c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

func (f *forwarder) tcp(ln net.Listener) {
	for {
		in, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors: others may close some
			continue
		}
		f.wg.Go(func() {
			out, err := net.DialTimeout("tcp", f.target, 10*time.Second)
			if err != nil {
				in.Close() // the client sees the end, as behind any relay
				return
			}
			if f.keep(in) && f.keep(out) {
				splice(in.(*net.TCPConn), out.(*net.TCPConn))
			}
			f.drop(in)
			f.drop(out)
		})
	}
}

// splice copies both ways until both are done.
func splice(a, b *net.TCPConn) {
	var wg sync.WaitGroup
	half := func(to, from *net.TCPConn) {
		_, err := io.Copy(to, from)
		_ = to.CloseWrite()
		if err != nil {
			_ = from.CloseRead()
		}
	}
	wg.Go(func() { half(a, b) })
	wg.Go(func() { half(b, a) })
	wg.Wait()
}

func (f *forwarder) udp(in *net.UDPConn) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := in.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // the report that an earlier datagram was refused
		}
		f.mu.Lock()
		out := f.clients[from]
		full := len(f.clients) >= maxForwardClients
		f.mu.Unlock()
		if out == nil {
			if full {
				continue
			}
			c, err := net.Dial("udp", f.target)
			if err != nil {
				continue
			}
			out = c.(*net.UDPConn)
			if !f.keep(out) {
				return
			}
			f.mu.Lock()
			f.clients[from] = out
			f.mu.Unlock()
			f.wg.Go(func() { f.back(in, out, from) })
		}
		_, _ = out.Write(buf[:n])
	}
}

// back carries a client's answers until it was silent for sessionIdle.
func (f *forwarder) back(in, out *net.UDPConn, client netip.AddrPort) {
	buf := make([]byte, 1<<16)
	for {
		_ = out.SetReadDeadline(time.Now().Add(sessionIdle))
		n, err := out.Read(buf)
		if err != nil {
			var timeout net.Error
			if errors.Is(err, net.ErrClosed) || errors.As(err, &timeout) && timeout.Timeout() {
				break
			}
			time.Sleep(time.Millisecond) // nobody listens yet
			continue
		}
		_, _ = in.WriteToUDPAddrPort(buf[:n], client)
	}
	f.mu.Lock()
	delete(f.clients, client)
	f.mu.Unlock()
	f.drop(out)
}
