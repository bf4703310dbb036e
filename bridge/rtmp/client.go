package rtmp

import (
	"strings"

	"github.com/fairlead-live/fairlead/bridge/amf"
)

// DefaultFlashVersion is the encoder name most servers are used to.
const DefaultFlashVersion = "FMLE/3.0 (compatible; fairlead)"

// ClientConfig configures a Client.
type ClientConfig struct {
	Target       Target
	Play         bool   // play instead of publish
	Auth         string // query for Adobe authentication, see NextAuth; "": none yet
	FlashVersion string // "": DefaultFlashVersion when publishing, a Flash Player's when playing
	ChunkSize    int    // bytes, of what is sent; 0: 4096, which is what encoders use and every server takes
	Simple       bool   // handshake without digest
	Random       []byte // RandomSize bytes, borrowed by NewClient and kept
	Limits       Limits
}

type clientState uint8

const (
	clientS0S1 clientState = iota
	clientS2
	clientConnect
	clientCreate
	clientStart
	clientReady
	clientEnded
)

// Transaction ids of the commands whose answers matter.
const (
	transConnect = 1
	transRelease = 2
	transFC      = 3
	transCreate  = 4
	transStart   = 5
)

// Client is the calling side of one connection, without the connection: bytes in, events and bytes out. It is owned by
// one goroutine. After NewClient and after each call of Feed, send what Output returns.
type Client struct {
	conn
	cfg    ClientConfig
	state  clientState
	stream uint32
	caps   Caps
}

// NewClient starts a handshake: the first Output is there already.
func NewClient(cfg ClientConfig) *Client {
	if cfg.ChunkSize <= 0 {
		cfg.ChunkSize = 4096
	}
	if cfg.FlashVersion == "" {
		cfg.FlashVersion = DefaultFlashVersion
		if cfg.Play {
			cfg.FlashVersion = "LNX 9,0,124,2"
		}
	}
	c := &Client{conn: newConn(cfg.Limits, 1+handshakeSize), cfg: cfg}
	d := DigestFirst
	if cfg.Simple {
		d = DigestNone
	}
	c.out = AppendC0C1(c.out, 0, d, cfg.Random)
	return c
}

// Caps returns what the server said about Enhanced RTMP.
func (c *Client) Caps() Caps { return c.caps }

// Ready reports whether publishing or playing has begun.
func (c *Client) Ready() bool { return c.state == clientReady }

// Feed uses n bytes of b, which it borrows, up to one event. EventNone: all were used. Errors are final: ErrProtocol,
// or a *StatusError with the server's words.
func (c *Client) Feed(b []byte) (ev Event, n int, err error) {
	if c.state == clientS0S1 || c.state == clientS2 {
		if n, err = c.handshake(b); err != nil || c.state != clientConnect {
			return Event{}, n, err
		}
	}
	for {
		m, k, ok, err := c.next(b[n:])
		n += k
		if err != nil || !ok {
			return Event{}, n, err
		}
		if ev, err = c.message(m); err != nil || ev.Kind != EventNone {
			return ev, n, err
		}
	}
}

func (c *Client) handshake(b []byte) (n int, err error) {
	n, full := c.collect(b)
	if full && c.state == clientS0S1 {
		if c.out, err = AppendC2(c.out, c.shake, 0, c.cfg.Random); err != nil {
			return n, err
		}
		c.state, c.shake, c.want = clientS2, c.shake[:0], handshakeSize
		var more int
		more, full = c.collect(b[n:])
		n += more
	}
	if full && c.state == clientS2 { // whatever S2 is: see AppendC2
		c.shake = nil
		c.state = clientConnect
		c.sendConnect()
	}
	return n, nil
}

func (c *Client) sendConnect() {
	app, tcURL := c.cfg.Target.App, c.cfg.Target.TCURL()
	if c.cfg.Auth != "" {
		app, tcURL = app+"?"+c.cfg.Auth, tcURL+"?"+c.cfg.Auth
	}
	c.out = c.writer.AppendSetChunkSize(c.out, c.cfg.ChunkSize)
	o := amf.Object{{Key: "app", Value: app}}
	if c.cfg.Play {
		// RTMP 1.0 §7.2.1.1: all the sound and video kinds of a Flash Player.
		o = append(o,
			amf.Pair{Key: "flashVer", Value: c.cfg.FlashVersion}, amf.Pair{Key: "tcUrl", Value: tcURL},
			amf.Pair{Key: "fpad", Value: false}, amf.Pair{Key: "capabilities", Value: 15.0},
			amf.Pair{Key: "audioCodecs", Value: 4071.0}, amf.Pair{Key: "videoCodecs", Value: 252.0},
			amf.Pair{Key: "videoFunction", Value: 1.0})
		o = ourCaps(CanDecode|CanForward, CapReconnect).appendTo(o)
	} else {
		o = append(o,
			amf.Pair{Key: "type", Value: "nonprivate"}, amf.Pair{Key: "flashVer", Value: c.cfg.FlashVersion},
			amf.Pair{Key: "swfUrl", Value: tcURL}, amf.Pair{Key: "tcUrl", Value: tcURL})
		o = ourCaps(CanEncode|CanForward, CapReconnect).appendTo(o)
	}
	c.command(0, "connect", transConnect, o)
}

func (c *Client) message(m Message) (Event, error) {
	switch {
	case m.Type == TypeCommandAMF0 || m.Type == TypeCommandAMF3:
		cmd, ok := ParseCommand(m)
		if !ok {
			c.drop(DropMalformed)
			return Event{}, nil
		}
		return c.handle(cmd)
	case m.IsMedia():
		if c.cfg.Play && c.state >= clientStart {
			return Event{Kind: EventMedia, Message: m}, nil
		}
		c.drop(DropUnexpected) // nginx-rtmp sends onMetaData and the like to publishers' connections too
	default:
		c.drop(DropUnknownType)
	}
	return Event{}, nil
}

func (c *Client) handle(cmd Command) (Event, error) {
	switch cmd.Name {
	case "_result":
		return Event{}, c.result(cmd)
	case "_error":
		// Answers to releaseStream and FCPublish may be errors; servers without these commands say so.
		switch {
		case c.state == clientConnect && (cmd.Transaction == transConnect || cmd.Transaction == 0),
			c.state == clientCreate && cmd.Transaction == transCreate,
			c.state == clientStart && cmd.Transaction == transStart:
			return Event{}, c.fail(statusOf(cmd))
		}
		c.drop(DropUnexpected)
	case "onStatus":
		return c.status(statusOf(cmd), cmd)
	case "close":
		return Event{}, c.fail(&StatusError{Command: "close", Code: "closed"})
	case "onBWDone", "onFCPublish", "onFCUnpublish", "onFCSubscribe", "_checkbw", "onBWCheck": // nothing to do
	default:
		c.drop(DropUnknownCommand)
	}
	return Event{}, nil
}

func (c *Client) fail(err error) error {
	c.state = clientEnded
	return err
}

func (c *Client) result(cmd Command) error {
	switch {
	case c.state == clientConnect && cmd.Transaction == transConnect:
		if st := statusOf(cmd); st.Code != "" && st.Code != CodeConnectSuccess {
			return c.fail(st)
		}
		c.caps = capsOf(cmd.object(0), cmd.object(1))
		var scratch [4]byte
		if !c.told {
			c.told = true
			c.send(control(TypeWindowAckSize, scratch[:0], ourWindow))
		}
		if !c.cfg.Play { // nobody has to answer these two (nginx-rtmp does not)
			c.command(0, "releaseStream", transRelease, nil, c.cfg.Target.Key)
			c.command(0, "FCPublish", transFC, nil, c.cfg.Target.Key)
		}
		c.command(0, "createStream", transCreate, nil)
		c.state = clientCreate
	case c.state == clientCreate && cmd.Transaction == transCreate:
		id, ok := cmd.arg(1).(float64)
		if !ok || id < 0 || id > 1<<31 {
			c.drop(DropMalformed)
			return nil
		}
		c.stream = uint32(id)
		if c.cfg.Play {
			c.command(c.stream, "play", transStart, nil, c.cfg.Target.Key, -2000.0)
			var scratch [16]byte
			// 3000 ms: what ffmpeg and librtmp ask for; live servers do not use it.
			c.send(userControl(userSetBufferLength, scratch[:0], c.stream, 3000))
		} else {
			c.command(c.stream, "publish", transStart, nil, c.cfg.Target.Key, "live")
		}
		c.state = clientStart
	case cmd.Transaction == transRelease || cmd.Transaction == transFC:
	default:
		c.drop(DropUnexpected)
	}
	return nil
}

func (c *Client) status(st *StatusError, cmd Command) (Event, error) {
	level := ""
	for i := range cmd.Args {
		if l := textOf(cmd.object(i), "level"); l != "" {
			level = l
		}
	}
	switch {
	case st.Code == CodeReconnectRequest:
		var tcURL string
		for i := range cmd.Args {
			if s := textOf(cmd.object(i), "tcUrl"); s != "" {
				tcURL = s
			}
		}
		return Event{Kind: EventReconnect, TCURL: tcURL}, nil
	case st.Code == CodePublishStart || st.Code == CodePlayStart:
		if c.state == clientStart {
			c.state = clientReady
			return Event{Kind: EventReady}, nil
		}
	case level == "error", st.Redirect != "", strings.HasSuffix(st.Code, ".BadName"):
		return Event{}, c.fail(st)
	case st.Code == CodePlayStop, st.Code == CodePlayUnpublish, st.Code == CodeUnpublish && c.state == clientReady:
		return Event{}, c.fail(st)
	}
	return Event{}, nil
}

// Media returns a new writer for media messages, with chunk streams of its own, so that one goroutine can send media
// while another owns the client. Use it from EventReady on.
func (c *Client) Media() *MediaWriter { return newMediaWriter(c.writer.chunkSize, c.stream) }

// End queues the clean end of a session: what frees the stream key at the far side.
func (c *Client) End() {
	if c.state == clientReady {
		if !c.cfg.Play {
			c.command(0, "FCUnpublish", transStart+1, nil, c.cfg.Target.Key)
		}
		c.command(0, "deleteStream", transStart+2, nil, float64(c.stream))
	}
	c.state = clientEnded
}
