package rtmp

import (
	"strings"

	"github.com/fairlead-live/fairlead/bridge/amf"
)

// ServerConfig configures a Server.
type ServerConfig struct {
	ChunkSize int    // bytes, of what is sent; 0: 60000, as SRS does
	Random    []byte // RandomSize bytes, borrowed by NewServer and kept
	Limits    Limits // in force once a publisher has been accepted; before that a message may be 64 KiB
}

// setupLimits bound a peer nobody has accepted yet: a connect of ours is 500 bytes, signed URLs make some kB.
var setupLimits = Limits{MessageSize: 64 << 10, Buffered: 128 << 10, ChunkStreams: 16}

// Request is what a peer wants.
type Request struct {
	App          string // without query and outer slashes; may contain slashes
	Key          string // without query
	Query        string // the key's, else the app's: "token=…&…", without the question mark
	TCURL        string
	FlashVersion string
	Caps         Caps
	stream       uint32
	play         bool
}

// Name is app/key, by which the hub knows streams.
func (r *Request) Name() string { return strings.Trim(r.App+"/"+r.Key, "/") }

type serverState uint8

const (
	serverC0C1 serverState = iota
	serverC2
	serverIdle    // connected or about to
	serverAsked   // a publish or play waits for an answer
	serverPublish // accepted
	serverPlay
	serverEnded
)

// Server is the called side of one connection, without the connection: bytes in, events and bytes out. It is owned by
// one goroutine. After each call of Feed, Accept, Reject or any other, send what Output returns.
//
// One publish or play runs at a time; another may follow when it has ended.
type Server struct {
	conn
	cfg       ServerConfig
	state     serverState
	connected bool
	digest    Digest
	app       string
	appQuery  string
	tcURL     string
	flashVer  string
	caps      Caps
	streams   uint32 // ids given out
	fcPublish bool
	req       *Request
}

// NewServer returns a server that waits for C0.
func NewServer(cfg ServerConfig) *Server {
	if cfg.ChunkSize <= 0 {
		cfg.ChunkSize = 60000
	}
	return &Server{conn: newConn(setupLimits, 1+handshakeSize), cfg: cfg}
}

// Digest returns the form of the handshake.
func (s *Server) Digest() Digest { return s.digest }

// Feed uses n bytes of b, which it borrows, up to one event. EventNone: all were used. Errors wrap ErrProtocol and are final.
func (s *Server) Feed(b []byte) (ev Event, n int, err error) {
	if s.state == serverC0C1 || s.state == serverC2 {
		if n, err = s.handshake(b); err != nil || s.shake != nil {
			return Event{}, n, err
		}
	}
	for {
		m, k, ok, err := s.next(b[n:])
		n += k
		if err != nil || !ok {
			return Event{}, n, err
		}
		if ev := s.message(m); ev.Kind != EventNone {
			return ev, n, nil
		}
	}
}

func (s *Server) handshake(b []byte) (n int, err error) {
	if s.state == serverC0C1 && len(s.shake) == 0 && len(b) > 0 && b[0] != handshakeVersion {
		_, _, err := AppendS0S1S2(nil, b[:1], 0, nil) // refuse at the first byte
		return 0, err
	}
	n, full := s.collect(b)
	if full && s.state == serverC0C1 {
		if s.out, s.digest, err = AppendS0S1S2(s.out, s.shake, 0, s.cfg.Random); err != nil {
			return n, err
		}
		s.state, s.shake, s.want = serverC2, s.shake[:0], handshakeSize
		var more int
		more, full = s.collect(b[n:])
		n += more
	}
	if full && s.state == serverC2 { // whatever C2 is: nothing hangs on it, and clients exist that send zeros
		s.shake, s.state = nil, serverIdle
	}
	return n, nil
}

func (s *Server) message(m Message) Event {
	switch {
	case m.Type == TypeCommandAMF0 || m.Type == TypeCommandAMF3:
		cmd, ok := ParseCommand(m)
		if !ok {
			s.drop(DropMalformed)
			return Event{}
		}
		return s.handle(m.Stream, cmd)
	case m.IsMedia():
		if s.state == serverPublish {
			return Event{Kind: EventMedia, Message: m}
		}
		s.drop(DropUnexpected)
	default:
		s.drop(DropUnknownType)
	}
	return Event{}
}

func (s *Server) handle(stream uint32, cmd Command) Event {
	if !s.connected && cmd.Name != "connect" {
		s.drop(DropUnexpected)
		return Event{}
	}
	switch cmd.Name {
	case "connect":
		s.connect(cmd)
	case "createStream":
		s.streams++
		s.command(0, "_result", cmd.Transaction, nil, float64(s.streams))
	case "releaseStream":
		s.command(0, "_result", cmd.Transaction, nil, amf.Undefined{})
	case "FCPublish":
		s.fcPublish = true
		s.command(0, "_result", cmd.Transaction, nil, amf.Undefined{})
	case "FCSubscribe":
		s.command(0, "onFCSubscribe", 0, nil, info("status", CodePlayStart, "Started playing"))
	case "getStreamLength":
		s.command(0, "_result", cmd.Transaction, nil, 0.0) // live has none
	case "publish":
		return s.ask(stream, cmd.text(1), false)
	case "play":
		return s.ask(stream, cmd.text(1), true)
	case "play2": // RTMP 1.0 §7.2.2.2: an object with streamName
		return s.ask(stream, textOf(cmd.object(1), "streamName"), true)
	case "deleteStream":
		if s.req == nil || uint32(cmd.number(1)) == s.req.stream {
			return s.stop()
		}
	case "closeStream", "FCUnpublish":
		return s.stop()
	case "pause", "pauseRaw":
		// A live stream goes on; the answer keeps players from waiting for one.
		code := "NetStream.Unpause.Notify"
		if isTrue(cmd.arg(1)) {
			code = "NetStream.Pause.Notify"
		}
		s.command(stream, "onStatus", 0, nil, info("status", code, ""))
	case "_checkbw", "receiveAudio", "receiveVideo", "seek", "FCTimeout", "_result", "_error", "onStatus": // nothing to do
	default:
		s.drop(DropUnknownCommand)
	}
	return Event{}
}

func (s *Server) connect(cmd Command) {
	o := cmd.object(0)
	if s.connected || o == nil {
		s.drop(DropUnexpected)
		return
	}
	s.connected = true
	app, query, _ := strings.Cut(textOf(o, "app"), "?")
	s.app, s.appQuery = strings.Trim(app, "/"), query
	if s.tcURL = textOf(o, "tcUrl"); s.tcURL == "" {
		s.tcURL = textOf(o, "tcurl")
	}
	s.flashVer = textOf(o, "flashVer")
	s.caps = capsOf(o)
	var scratch [8]byte
	s.send(control(TypeWindowAckSize, scratch[:0], ourWindow))
	// §5.4.5: limit type 2, dynamic.
	bandwidth := control(TypeSetPeerBandwidth, scratch[:0], ourWindow)
	bandwidth.Payload = append(bandwidth.Payload, 2)
	s.send(bandwidth)
	s.told = true
	s.out = s.writer.AppendSetChunkSize(s.out, s.cfg.ChunkSize)
	encoding, _ := o.Get("objectEncoding").(float64)
	ours := ourCaps(CanForward, CapReconnect)
	props := ours.appendTo(amf.Object{{Key: "fmsVer", Value: "FMS/3,5,7,7009"}, {Key: "capabilities", Value: 31.0}, {Key: "mode", Value: 1.0}})
	result := append(info("status", CodeConnectSuccess, "Connection succeeded."), amf.Pair{Key: "objectEncoding", Value: encoding})
	s.command(0, "_result", cmd.Transaction, props, ours.appendTo(result))
}

// ask makes the event for a publish or play.
func (s *Server) ask(stream uint32, name string, play bool) Event {
	if s.state != serverIdle {
		s.drop(DropUnexpected)
		return Event{}
	}
	// The key may come with more of the path in front, and the app may have the query: app?token=x.
	key, query, _ := strings.Cut(name, "?")
	if query == "" {
		query = s.appQuery
	}
	s.req = &Request{
		App: s.app, Key: strings.Trim(key, "/"), Query: query, TCURL: s.tcURL,
		FlashVersion: s.flashVer, Caps: s.caps, stream: stream, play: play,
	}
	whole := s.req.Key
	if i := strings.LastIndexByte(whole, '/'); i >= 0 {
		s.req.App, s.req.Key = strings.Trim(s.app+"/"+whole[:i], "/"), whole[i+1:]
	}
	if i := strings.LastIndexByte(s.app, '/'); whole == "" && i >= 0 { // gortmplib puts the whole path into the app
		s.req.App, s.req.Key = s.app[:i], s.app[i+1:]
	}
	s.state = serverAsked
	if play {
		return Event{Kind: EventPlay, Request: s.req}
	}
	return Event{Kind: EventPublish, Request: s.req}
}

func (s *Server) stop() Event {
	was := s.state
	if was != serverPublish && was != serverPlay {
		return Event{}
	}
	if was == serverPublish {
		if s.fcPublish {
			s.command(0, "onFCUnpublish", 0, nil, info("status", CodeUnpublish, "Stopped publishing"))
		}
		s.command(s.req.stream, "onStatus", 0, nil, info("status", CodeUnpublish, "Stopped publishing"))
	}
	s.state, s.req, s.fcPublish = serverIdle, nil, false
	return Event{Kind: EventStop}
}

// Accept answers the request of the last EventPublish or EventPlay with yes. It does nothing without one.
func (s *Server) Accept() {
	if s.state != serverAsked {
		return
	}
	id := s.req.stream
	var scratch [16]byte
	s.send(userControl(userStreamBegin, scratch[:0], id))
	if !s.req.play {
		s.state = serverPublish
		s.reader.setLimits(s.cfg.Limits)
		if s.fcPublish {
			s.command(0, "onFCPublish", 0, nil, info("status", CodePublishStart, "Started publishing"))
		}
		s.command(id, "onStatus", 0, nil, info("status", CodePublishStart, "Started publishing"))
		return
	}
	s.state = serverPlay
	s.command(id, "onStatus", 0, nil, info("status", CodePlayReset, "Playing and resetting"))
	s.command(id, "onStatus", 0, nil, info("status", CodePlayStart, "Started playing"))
	for _, b := range [][]byte{
		amf.Append(nil, "|RtmpSampleAccess", true, true),
		amf.Append(nil, "onStatus", amf.Object{{Key: "code", Value: CodeDataStart}}),
	} {
		s.send(Message{ChunkStream: chunkCommand, Type: TypeDataAMF0, Stream: id, Payload: b})
	}
}

// Reject answers the request of the last EventPublish or EventPlay with an error status. It does nothing without one.
func (s *Server) Reject(code, description string) {
	if s.state != serverAsked {
		return
	}
	s.command(s.req.stream, "onStatus", 0, nil, info("error", code, description))
	s.state, s.req = serverIdle, nil
}

// EndPlay tells a player that the stream is over.
func (s *Server) EndPlay() {
	if s.state != serverPlay {
		return
	}
	var scratch [16]byte
	s.send(userControl(userStreamEOF, scratch[:0], s.req.stream))
	s.command(s.req.stream, "onStatus", 0, nil, info("status", CodePlayUnpublish, "Stream is not published any more"))
	s.command(s.req.stream, "onStatus", 0, nil, info("status", CodePlayStop, "Stopped playing"))
	s.state, s.req = serverIdle, nil
}

// EndPublish tells a publisher that it is no longer wanted.
func (s *Server) EndPublish(code, description string) {
	if s.state != serverPublish {
		return
	}
	s.command(s.req.stream, "onStatus", 0, nil, info("error", code, description))
	s.state, s.req = serverIdle, nil
}

// RequestReconnect asks a peer that said it understands to move to tcURL ("": the same address; E-RTMP v2). It reports
// whether it asked.
func (s *Server) RequestReconnect(tcURL, description string) bool {
	if s.caps.Ex&CapReconnect == 0 {
		return false
	}
	o := info("status", CodeReconnectRequest, description)
	if tcURL != "" {
		o = append(o, amf.Pair{Key: "tcUrl", Value: tcURL})
	}
	s.command(0, "onStatus", 0, nil, o)
	return true
}

// Media returns a new writer for the media of an accepted play, with chunk streams of its own, so that one goroutine
// can send media while another owns the server.
func (s *Server) Media() *MediaWriter {
	var id uint32
	if s.req != nil {
		id = s.req.stream
	}
	return newMediaWriter(s.writer.chunkSize, id)
}
