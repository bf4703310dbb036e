package quiclink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/transport/session"
	"github.com/fairlead-live/fairlead/transport/srtp"
	"github.com/fairlead-live/fairlead/transport/udp"
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

// connect makes a connection to a relay and a session on it, or goes on with that of before, if that is not nil and the relay
// still has it.
func (c *Client) connect(ctx context.Context, target Target, before *sending) (*sending, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	c.mu.Lock()
	packet := c.packet
	c.packet = 0 // should the path have changed, the next attempt finds out anew
	c.mu.Unlock()
	var d dialed
	if before != nil && before.ready != nil {
		d, before.ready = *before.ready, nil
	} else {
		d = dial(ctx, target, packet)
	}
	if d.err != nil {
		return nil, connectError(target.Addr, d.err)
	}
	s, err := c.join(ctx, d.path, d.conn, target, unmap(d.remote), before)
	if err != nil {
		d.close()
		return nil, connectError(target.Addr, err)
	}
	return s, nil
}

// dial makes a QUIC connection on a socket of its own. packet: the path MTU, where it is known; 0: QUIC discovers it.
func dial(ctx context.Context, target Target, packet int) dialed {
	tlsConfig, err := clientTLS(target.Host, target.Pin)
	if err != nil {
		return dialed{err: err}
	}
	remote, err := resolve(ctx, target.Addr)
	if err != nil {
		return dialed{err: err}
	}
	p, err := newPath()
	if err != nil {
		return dialed{err: err}
	}
	cfg := quicConfig()
	cfg.InitialPacketSize = uint16(packet)
	conn, err := p.tr.Dial(ctx, remote, tlsConfig, cfg)
	if err != nil {
		p.close()
		return dialed{err: err}
	}
	return dialed{p, conn, remote.AddrPort(), nil}
}

// dialed is a QUIC connection that nothing has been said on, or why there is none.
type dialed struct {
	path   *path
	conn   *quic.Conn
	remote netip.AddrPort
	err    error
}

func (d *dialed) close() {
	_ = d.conn.CloseWithError(codeBye, "")
	d.path.close()
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
func (c *Client) join(ctx context.Context, p *path, conn *quic.Conn, target Target, remote netip.AddrPort, before *sending) (*sending, error) {
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	datagram := c.datagram
	c.mu.Unlock()
	h := wire.Hello{
		Version: wire.Version, Oldest: wire.Version, SessionID: c.id, Latency: target.Latency,
		Name: target.Name, Token: target.Token, Agent: c.cfg.Agent, MaxLatency: target.Most,
	}
	for flag, on := range map[wire.HelloFlags]bool{wire.HelloResume: before != nil, wire.HelloDatagram: datagram, wire.HelloInOrder: target.InOrder} {
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
	s := &sending{
		link: newLink(conn, stream, reader), client: c, target: target, path: p, remote: remote, tag: w.Tag,
		moved: make(chan handover, 1), successor: make(chan *sending, 1), found: make(chan *sending, 1), dialed: make(chan dialed, 1),
		mtu: mtu{now: baseMTU, most: min(maxMTU, int(w.MTU))},
	}
	if !p.sock.route(w.Tag, s.box) {
		return nil, errors.New("quiclink: path tag in use")
	}
	if datagram {
		s.frames = make(chan []byte, controlQueue)
	}
	if w.Flags&wire.WelcomeResumed == 0 {
		before = nil
	}
	return s, c.session(s, target, &w, before)
}

// session gives a connection its Sender: the one of before, or a new one.
func (c *Client) session(s *sending, target Target, w *wire.Welcome, before *sending) error {
	cfg := session.Config{Latency: w.Latency, MaxLatency: granted(w.Latency, w.MaxLatency), MaxBitrate: target.MaxRate, MTU: max(baseMTU, s.mtu.most), Tag: w.Tag, InOrder: target.InOrder, NoFEC: c.cfg.NoFEC}
	tls, id := s.conn.ConnectionState().TLS, c.id
	keys, err := newKeyring(s.now, func(epoch uint32) (send, receive srtp.Keys, err error) {
		return exportKeys(tls, id, 0, epoch)
	})
	switch {
	case err != nil:
		return err
	case s.frames == nil:
		s.keys, cfg.Seal, cfg.Open = keys, keys.seal, keys.open
	case target.Carriage == Auto && w.Flags&wire.WelcomeProbes != 0:
		c.mu.Lock()
		s.knocks, s.back.wait = keys, c.wait
		c.mu.Unlock()
	}
	if before != nil {
		s.lasting, s.plans, s.planning, s.theirs = before.lasting, before.plans, before.planning, before.theirs
		s.rate, s.beside.reports, s.sendErrors = before.rate, s.tx.Stats().Feedback, before.sendErrors
		s.tx.Resume(s.now, w.Tag, cfg.Seal, cfg.Open)
		s.tx.SetMTU(baseMTU)
		return nil
	}
	s.latency, s.most, s.needKey, s.plans = w.Latency, max(w.Latency, w.MaxLatency), true, make(chan *fec.Plan, 1)
	if c.cfg.Controller != nil {
		cfg.Controller = c.cfg.Controller()
	} else {
		cfg.Controller = newController(startRate, target.MaxRate)
	}
	s.why, _ = cfg.Controller.(explainer)
	if s.tx, err = session.NewSender(s.now, cfg); err != nil {
		return err
	}
	s.now = time.Now() // making the first plan takes a while
	s.rate = s.tx.Target()
	s.tx.SetMTU(baseMTU)
	return nil
}

// newController is one for a stream of at most rate.
func newController(start, rate congestion.Bitrate) *congestion.Controller {
	return congestion.New(congestion.Config{Start: start, Max: cmp.Or(rate, defaultRate) * 3 / 2})
}

// path is a socket and quic-go's transport on it.
type path struct {
	sock  *socket
	tr    *quic.Transport
	burst *udp.Burst // media, of the session's goroutine
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
	burst, err := udp.NewBurst(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &path{sock, &quic.Transport{Conn: sock}, burst}, nil
}

func (p *path) close() {
	_ = p.tr.Close()
	_ = p.sock.Close()
}
