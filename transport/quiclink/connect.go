package quiclink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/transport/session"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// connectTimeout is for resolving, the handshake and the welcome: ours.
const connectTimeout = 6 * time.Second

const (
	// defaultRate is session.Config's MaxBitrate; repairs and resends may take half as much again.
	defaultRate = 20 * congestion.Mbps
	// startRate: a stream that is there already should not wait for the controller to find it. Ours: from 2 Mbit/s a stream
	// of 4 loses its first 8 frames, from 8 Mbit/s none.
	startRate = 8 * congestion.Mbps
)

// connect makes a connection and a session on it.
func (c *Client) connect(ctx context.Context, resume bool) (*sending, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	tlsConfig, err := clientTLS(c.target.Host, c.target.Pin)
	if err != nil {
		return nil, connectError(c.target.Addr, err)
	}
	remote, err := resolve(ctx, c.target.Addr)
	if err != nil {
		return nil, connectError(c.target.Addr, err)
	}
	p, err := newPath()
	if err != nil {
		return nil, connectError(c.target.Addr, err)
	}
	conn, err := p.tr.Dial(ctx, remote, tlsConfig, quicConfig())
	if err != nil {
		p.close()
		return nil, connectError(c.target.Addr, err)
	}
	s, err := c.join(ctx, p, conn, remote, resume)
	if err != nil {
		_ = conn.CloseWithError(codeBye, "")
		p.close()
		return nil, connectError(c.target.Addr, err)
	}
	return s, nil
}

func resolve(ctx context.Context, addr string) (*net.UDPAddr, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(ips) == 0 {
		return nil, fmt.Errorf("%s has no address", host)
	}
	return &net.UDPAddr{IP: ips[0].IP, Zone: ips[0].Zone, Port: number}, nil
}

// join says hello and makes the session of what the relay answers.
func (c *Client) join(ctx context.Context, p *path, conn *quic.Conn, remote *net.UDPAddr, resume bool) (*sending, error) {
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	datagram := c.datagram
	c.mu.Unlock()
	h := wire.Hello{
		Version: wire.Version, Oldest: wire.Version, SessionID: c.id, Latency: c.target.Latency,
		Name: c.target.Name, Token: c.target.Token, Agent: c.cfg.Agent,
	}
	for flag, on := range map[wire.HelloFlags]bool{wire.HelloResume: resume, wire.HelloDatagram: datagram, wire.HelloInOrder: c.target.InOrder} {
		if on {
			h.Flags |= flag
		}
	}
	if _, err := stream.Write(wire.AppendHello(nil, &h)); err != nil {
		return nil, err
	}
	reader := &controlReader{r: stream}
	if end, ok := ctx.Deadline(); ok {
		_ = stream.SetReadDeadline(end)
	}
	m, err := reader.next()
	if err != nil {
		return nil, fmt.Errorf("no welcome: %w", err)
	}
	_ = stream.SetReadDeadline(time.Time{})
	w, err := wire.ParseWelcome(m.body)
	if err != nil || m.kind != wire.ControlWelcome {
		return nil, fmt.Errorf("%w: no welcome", errControl)
	}
	if w.Status != 200 {
		return nil, &Rejection{w.Status, w.Reason}
	}
	return c.session(p, conn, stream, reader, remote, &w, datagram)
}

// session makes the Sender.
func (c *Client) session(p *path, conn *quic.Conn, stream *quic.Stream, reader *controlReader, remote *net.UDPAddr, w *wire.Welcome, datagram bool) (*sending, error) {
	s := &sending{
		client: c, path: p, conn: conn, stream: stream, control: reader, remote: unmap(remote.AddrPort()),
		box: newInbox(), outbox: make(chan []byte, controlQueue), plans: make(chan *fec.Plan, 1), moved: make(chan handover, 1),
		latency: w.Latency, now: time.Now(), out: make([]byte, 0, maxPacket), tag: w.Tag, needKey: true,
	}
	cfg := session.Config{Latency: w.Latency, MaxBitrate: c.target.MaxRate, Tag: w.Tag, NoFEC: c.cfg.NoFEC}
	if c.cfg.Controller != nil {
		cfg.Controller = c.cfg.Controller()
	} else {
		s.floor = congestion.NewFloor(congestion.Config{Start: startRate, Max: cmp.Or(c.target.MaxRate, defaultRate) * 3 / 2})
		cfg.Controller = s.floor
	}
	if datagram {
		s.datagrams = make(chan []byte, controlQueue)
	} else {
		client, server, err := exportKeys(conn.ConnectionState().TLS, c.id, 0, 0)
		if err != nil {
			return nil, err
		}
		if cfg.Seal, cfg.Open, err = ends(client, server); err != nil {
			return nil, err
		}
		if !p.sock.route(w.Tag, s.box) {
			return nil, errors.New("quiclink: path tag in use")
		}
	}
	var err error
	if s.tx, err = session.NewSender(s.now, cfg); err != nil {
		return nil, err
	}
	s.now = time.Now() // making the first plan takes a while
	s.rate = s.tx.Target()
	return s, nil
}

// path is a socket and quic-go's transport on it.
type path struct {
	sock *socket
	tr   *quic.Transport
}

func newPath() (*path, error) {
	conn, err := listenUDP(":0")
	if err != nil {
		return nil, err
	}
	sock, err := newSocket(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &path{sock, &quic.Transport{Conn: sock}}, nil
}

func (p *path) close() {
	_ = p.tr.Close()
	_ = p.sock.Close()
}
