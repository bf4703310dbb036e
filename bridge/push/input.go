package push

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/ingest"
	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

func (p *Push) newInput() (input, error) {
	in := p.cfg.Input
	if p.cfg.Source != nil {
		return &reading{push: p, open: func() (source, error) { return frames(p.cfg.Source), nil }}, nil
	}
	if command, ok := strings.CutPrefix(in, "exec:"); ok {
		return p.newRunning(command)
	}
	scheme, _, ok := strings.Cut(in, "://")
	if p.cfg.Loop && (ok || in == "-") {
		return nil, fmt.Errorf("%w: --loop is for a file", config.ErrUsage)
	}
	if !ok {
		if in == "" {
			return nil, fmt.Errorf("%w: no input", config.ErrUsage)
		}
		if in == "-" {
			return &reading{push: p, open: func() (source, error) { return openStream(p.cfg.Stdin) }, ahead: 500 * time.Millisecond, tell: p.tell()}, nil
		}
		if _, err := os.Stat(in); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInput, err)
		}
		return &reading{push: p, open: func() (source, error) { return openFile(in) }, loop: p.cfg.Loop, tell: p.tell()}, nil
	}
	u, err := url.Parse(in)
	if err != nil || u.Port() == "" {
		return nil, fmt.Errorf("%w: input %q is not %s://[ADDR]:PORT…", config.ErrUsage, in, scheme)
	}
	switch scheme {
	case "udp":
		return p.listenUDP(u)
	case "rtmp":
		return p.listenRTMP(u)
	case "srt":
		return p.listenSRT(u)
	}
	return nil, fmt.Errorf("%w: input %q: a file, -, rtmp://:PORT/APP/KEY, srt://:PORT, udp://:PORT or exec:COMMAND", config.ErrUsage, in)
}

// tell makes what warns, once, of the elementary streams of an input that go nowhere.
func (p *Push) tell() func(*ingest.TS) {
	told := ""
	return func(ts *ingest.TS) {
		if left := leftOut(ts); left != told {
			told = left
			v := &p.verdict
			switch pass := v.known() && v.pass; {
			case left == "":
			case pass && !v.partial:
				p.cfg.Logger.Info("the transport stream goes as it is, for it has what is no track of its own", "streams", left)
			case pass:
				p.cfg.Logger.Warn("the transport stream goes as it is, for it has what is no track of its own; not so where that is not possible or not wanted", "streams", left)
			default:
				p.cfg.Logger.Warn("the input has what is not carried", "streams", left)
			}
		}
	}
}

// listening is an input whose encoder comes to us.
type listening struct {
	name  string
	serve func(ctx context.Context, h *hub.Hub, name string) error
	at    net.Addr
	shape *shaping // nil: read as fast as it comes
}

func (l *listening) retarget(_ time.Time, rate congestion.Bitrate) {
	if l.shape != nil {
		l.shape.retarget(rate)
	}
}

func (l *listening) keyframe() {}

func (l *listening) run(ctx context.Context, h *hub.Hub, name string) error {
	return l.serve(ctx, h, name)
}

// Listening returns where an encoder should send to; nil: the input is a file or stdin.
func (p *Push) Listening() net.Addr {
	if l, ok := p.input.(*listening); ok {
		return l.at
	}
	return nil
}

func (p *Push) listenRTMP(u *url.URL) (input, error) {
	name := strings.Trim(u.Path, "/")
	err := config.ValidName(name)
	if err != nil {
		return nil, fmt.Errorf("%w: input %s: %w", config.ErrUsage, p.cfg.Input, err)
	}
	in := &listening{name: name}
	var l net.Listener
	var watch func(rtmpserver.Request) rtmpserver.Watcher
	if p.cfg.Encoder.Shape {
		in.shape = &shaping{}
		watch = in.shape.watch
		l, err = in.shape.listen(u.Host)
	} else {
		l, err = net.Listen("tcp", u.Host)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	in.at = l.Addr()
	in.serve = func(ctx context.Context, h *hub.Hub, _ string) error {
		p.verdict.decide(false)
		return rtmpserver.New(rtmpserver.Config{Hub: h, Logger: p.cfg.Logger, Watch: watch, Authorize: func(_ context.Context, r rtmpserver.Request) (string, error) {
			if !r.Publish || r.Name != name {
				return "", rtmpserver.ErrUnauthorized
			}
			return "", nil
		}}).Serve(ctx, l)
	}
	return in, nil
}

func (p *Push) listenSRT(u *url.URL) (input, error) {
	q := u.Query()
	var latency time.Duration
	if v := q.Get("latency"); v != "" {
		var err error
		if latency, err = time.ParseDuration(v); err != nil {
			return nil, fmt.Errorf("%w: input: latency %q has no unit; write 200ms", config.ErrUsage, v)
		}
	}
	in := &listening{name: "push/input"}
	var h *hub.Hub // set before Serve
	l, err := srtlink.Listen(srtlink.Config{
		Addr: u.Host, Latency: latency, Passphrase: q.Get("passphrase"), Logger: p.cfg.Logger, AnyStreamID: true,
		Admit: func(r srtlink.Request) (func(context.Context, *srtlink.Conn), error) {
			pub, err := h.Publish(in.name, hub.PublisherInfo{Protocol: "srt", Peer: r.Peer.String()})
			if err != nil {
				return nil, &srtlink.Rejection{Code: srtlink.CodeConflict, Reason: err.Error()}
			}
			return func(_ context.Context, conn *srtlink.Conn) {
				if conn != nil {
					err = readTS(p.newTSIn(pub), conn.Read)
				}
				p.cfg.Logger.Info("encoder gone", "peer", r.Peer, "err", err)
				pub.Close(nil)
			}, nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	in.at = l.Addr()
	in.serve = func(ctx context.Context, to *hub.Hub, _ string) error {
		h = to
		return l.Serve(ctx)
	}
	return in, nil
}

func (p *Push) listenUDP(u *url.URL) (input, error) {
	at, err := net.ResolveUDPAddr("udp", strings.TrimPrefix(u.Host, "@"))
	if err != nil {
		return nil, fmt.Errorf("%w: input %q: %w", config.ErrUsage, p.cfg.Input, err)
	}
	var conn *net.UDPConn
	if at.IP.IsMulticast() {
		conn, err = net.ListenMulticastUDP("udp", nil, at)
	} else {
		conn, err = net.ListenUDP("udp", at)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	return &listening{name: "push/input", at: conn.LocalAddr(), serve: func(ctx context.Context, h *hub.Hub, name string) error {
		defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
		pub, err := h.Publish(name, hub.PublisherInfo{Protocol: "udp"})
		if err != nil {
			return err
		}
		defer pub.Close(nil)
		return readTS(p.newTSIn(pub), conn.Read)
	}}, nil
}

// readTS carries payloads of MPEG-TS to the hub until reading ends.
func readTS(in *tsIn, read func([]byte) (int, error)) error {
	defer in.end()
	b := make([]byte, 1<<16)
	for {
		n, err := read(b)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		if err := in.write(time.Now(), b[:n]); err != nil {
			return err
		}
	}
}
