package rtmp

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-live/fairlead/bridge/amf"
)

// feeder is a Client or a Server.
type feeder interface {
	Feed(b []byte) (Event, int, error)
	Output() []byte
}

// feedAll gives b to m and returns its events (payloads copied) and the first error.
func feedAll(m feeder, b []byte) (events []Event, err error) {
	for {
		ev, n, err := m.Feed(b)
		b = b[n:]
		if err != nil || ev.Kind == EventNone {
			return events, err
		}
		ev.Message.Payload = bytes.Clone(ev.Message.Payload)
		events = append(events, ev)
	}
}

// talk carries bytes both ways until both are silent; decide answers the server's requests.
func talk(t *testing.T, c *Client, s *Server, decide func(Event)) (events []Event, err error) {
	t.Helper()
	for range 50 {
		toServer := bytes.Clone(c.Output())
		evs, err := feedAll(s, toServer)
		if err != nil {
			return events, fmt.Errorf("server: %w", err)
		}
		for _, ev := range evs {
			events = append(events, ev)
			if ev.Kind == EventPublish || ev.Kind == EventPlay {
				decide(ev)
			}
		}
		toClient := bytes.Clone(s.Output())
		evs, err = feedAll(c, toClient)
		events = append(events, evs...)
		if err != nil {
			return events, err
		}
		if len(toServer)+len(toClient) == 0 {
			return events, nil
		}
	}
	t.Fatal("they never stop talking")
	return nil, nil
}

func pair(t *testing.T, url string, play bool) (*Client, *Server) {
	t.Helper()
	target, err := ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	return NewClient(ClientConfig{Target: target, Play: play, Random: randomBytes(1)}), NewServer(ServerConfig{Random: randomBytes(2)})
}

func kinds(events []Event) (out []EventKind) {
	for _, e := range events {
		out = append(out, e.Kind)
	}
	return out
}

func TestPublishSession(t *testing.T) {
	c, s := pair(t, "rtmp://host/live/sub/key?token=x", false)
	events, err := talk(t, c, s, func(ev Event) {
		if ev.Request.App != "live/sub" || ev.Request.Key != "key" || ev.Request.Query != "token=x" || ev.Request.Name() != "live/sub/key" {
			t.Errorf("request = %+v", ev.Request)
		}
		if !ev.Request.Caps.Enhanced() || ev.Request.Caps.Ex != CapReconnect || !slices.Contains(ev.Request.Caps.FourCCs, "hvc1") {
			t.Errorf("caps = %+v", ev.Request.Caps)
		}
		s.Accept()
	})
	if err != nil || !slices.Equal(kinds(events), []EventKind{EventPublish, EventReady}) {
		t.Fatalf("events = %v, %v", kinds(events), err)
	}
	if s.Digest() != DigestFirst {
		t.Errorf("handshake = %v, want the digest", s.Digest())
	}
	if !c.Caps().Takes("hvc1") || !c.Caps().Takes("Opus") || c.Caps().Takes("vp09") {
		t.Errorf("server caps = %+v", c.Caps())
	}
	body := bytes.Repeat([]byte("0123456789"), 20000) // longer than the 64 KiB a stranger may send
	evs, err := feedAll(s, c.Media().Append(nil, TypeVideo, 40, body))
	if err != nil || len(evs) != 1 || evs[0].Message.Timestamp != 40 || !bytes.Equal(evs[0].Message.Payload, body) {
		t.Fatalf("media: %v, %v", kinds(evs), err)
	}
	c.End()
	evs, err = feedAll(s, bytes.Clone(c.Output()))
	if err != nil || !slices.Equal(kinds(evs), []EventKind{EventStop}) {
		t.Errorf("end: %v, %v", kinds(evs), err)
	}
	if d := s.Stats().Drops; d != [numDropReasons]uint64{} {
		t.Errorf("server dropped %v", d)
	}
}

func TestPlaySession(t *testing.T) {
	c, s := pair(t, "rtmp://host/live/key", true)
	events, err := talk(t, c, s, func(Event) { s.Accept() })
	want := []EventKind{EventPlay, EventMedia, EventMedia}
	got := slices.DeleteFunc(kinds(events), func(k EventKind) bool { return k == EventReady })
	if err != nil || !slices.Equal(got, want) || !c.Ready() {
		t.Fatalf("events = %v, %v", kinds(events), err)
	}
	w := s.Media()
	evs, err := feedAll(c, append(w.Append(nil, TypeVideo, 1<<25, []byte("v")), w.Append(nil, TypeAudio, 1<<25+7, []byte("a"))...))
	if err != nil || len(evs) != 2 || evs[1].Message.Timestamp != 1<<25+7 || evs[1].Message.Stream != 1 {
		t.Fatalf("media: %+v, %v", evs, err)
	}
	if s.RequestReconnect("rtmp://other/live", "draining") {
		evs, _ = feedAll(c, bytes.Clone(s.Output()))
		if len(evs) != 1 || evs[0].Kind != EventReconnect || evs[0].TCURL != "rtmp://other/live" {
			t.Errorf("reconnect: %+v", evs)
		}
	} else {
		t.Errorf("the client's capsEx was not understood")
	}
	s.EndPlay()
	if _, err = feedAll(c, bytes.Clone(s.Output())); !errors.Is(err, ErrClosed) {
		t.Errorf("end: %v, want ErrClosed", err)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		code, text string
		play       bool
		want       error
	}{
		{CodePublishBadName, "in use", false, ErrBadName},
		{CodePublishDenied, "no", false, ErrUnauthorized},
		{CodePublishRejected, "no", false, ErrRejected},
		{CodePlayNotFound, "no", true, ErrNotFound},
	} {
		cl, s := pair(t, "rtmp://host/live/key", c.play)
		_, err := talk(t, cl, s, func(Event) { s.Reject(c.code, c.text) })
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.code, err, c.want)
		}
		if st, ok := errors.AsType[*StatusError](err); !ok || st.Code != c.code || st.Description != c.text {
			t.Errorf("%s: %+v", c.code, st)
		}
	}
}

// strange is a server that answers as the script says: name of a command to what comes back.
type strange struct {
	*Server
	script map[string]func(s *Server, cmd Command)
	seen   []string
}

func (s *strange) feed(t *testing.T, b []byte) {
	t.Helper()
	for len(b) > 0 {
		if s.shake != nil {
			n, err := s.handshake(b)
			if err != nil {
				t.Fatal(err)
			}
			b = b[n:]
			continue
		}
		m, n, ok, err := s.next(b)
		if err != nil {
			t.Fatal(err)
		}
		b = b[n:]
		if !ok {
			return
		}
		if cmd, ok := ParseCommand(m); ok {
			s.seen = append(s.seen, fmt.Sprintf("%s@%d", cmd.Name, m.Stream))
			if f := s.script[cmd.Name]; f != nil {
				f(s.Server, cmd)
			}
		}
	}
}

func TestClientAgainstOddServers(t *testing.T) {
	connected := func(s *Server, c Command) {
		s.command(0, "_result", 1, nil, info("status", CodeConnectSuccess, ""))
	}
	redirect := func(s *Server, c Command) {
		o := append(info("error", CodeConnectRejected, "go"), amf.Pair{Key: "ex", Value: amf.Object{
			{Key: "code", Value: 302.0}, {Key: "redirect", Value: "rtmp://other/live"}, {Key: "redirect2", Value: "rtmp://other/live/key"}}})
		s.command(0, "_error", 1, nil, o)
	}
	started := func(s *Server, c Command) {
		s.command(7, "onStatus", 0, nil, info("status", CodePublishStart, ""))
	}
	id7 := func(s *Server, c Command) { s.command(0, "_result", c.Transaction, nil, 7.0) }
	for _, c := range []struct {
		why    string
		script map[string]func(*Server, Command)
		ready  bool
		want   error
		seen   string
	}{
		{"stream id 7, no answer to releaseStream and FCPublish (nginx-rtmp)",
			map[string]func(*Server, Command){"connect": connected, "createStream": id7, "publish": started},
			true, nil, "connect@0 releaseStream@0 FCPublish@0 createStream@0 publish@7"},
		{"errors for what need not be there",
			map[string]func(*Server, Command){"connect": connected, "createStream": id7, "publish": started,
				"releaseStream": func(s *Server, c Command) {
					s.command(0, "_error", c.Transaction, nil, info("error", "NetConnection.Call.Failed", ""))
				},
				"FCPublish": func(s *Server, c Command) { s.command(0, "_error", c.Transaction) }},
			true, nil, "connect@0 releaseStream@0 FCPublish@0 createStream@0 publish@7"},
		{"commands without arguments, unknown ones, malformed ones (ffmpeg -listen and others)",
			map[string]func(*Server, Command){"connect": func(s *Server, c Command) {
				s.send(Message{ChunkStream: 3, Type: TypeCommandAMF0, Payload: []byte{2, 0, 8, 'o', 'n', 'B', 'W', 'D', 'o', 'n', 'e'}})
				s.send(Message{ChunkStream: 3, Type: TypeCommandAMF0, Payload: []byte{2, 0, 8, 'o', 'n'}})
				s.send(Message{ChunkStream: 3, Type: TypeCommandAMF0})
				s.send(Message{ChunkStream: 2, Type: TypeWindowAckSize, Payload: []byte{1}})
				s.send(Message{ChunkStream: 2, Type: TypeUserControl})
				s.send(Message{ChunkStream: 2, Type: 99})
				connected(s, c)
				s.command(0, "whatever", 9, nil)
			}, "createStream": id7, "publish": started},
			true, nil, "connect@0 releaseStream@0 FCPublish@0 createStream@0 publish@7"},
		{"redirect", map[string]func(*Server, Command){"connect": redirect}, false, ErrRedirect, "connect@0"},
		{"publish answered with _error", map[string]func(*Server, Command){"connect": connected, "createStream": id7,
			"publish": func(s *Server, c Command) {
				s.command(7, "_error", c.Transaction, nil, info("error", CodePublishBadName, ""))
			}},
			false, ErrBadName, "connect@0 releaseStream@0 FCPublish@0 createStream@0 publish@7"},
		{"rejected with need auth", map[string]func(*Server, Command){"connect": func(s *Server, c Command) {
			s.command(0, "_error", 1, nil, info("error", CodeConnectRejected, "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ]"))
		}}, false, ErrUnauthorized, "connect@0"},
	} {
		cl, srv := pair(t, "rtmp://host/live/key", false)
		s := &strange{Server: srv, script: c.script}
		var err error
		ready := false
		for range 20 {
			s.feed(t, bytes.Clone(cl.Output()))
			var evs []Event
			evs, err = feedAll(cl, bytes.Clone(s.Output()))
			ready = ready || slices.Contains(kinds(evs), EventReady)
			if err != nil {
				break
			}
		}
		if ready != c.ready || c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: ready %v, %v; want %v, %v", c.why, ready, err, c.ready, c.want)
		}
		if got := strings.Join(s.seen, " "); got != c.seen {
			t.Errorf("%s: commands %q, want %q", c.why, got, c.seen)
		}
		if st, ok := errors.AsType[*StatusError](err); ok && c.want == ErrRedirect && st.Redirect != "rtmp://other/live/key" {
			t.Errorf("redirect = %q", st.Redirect)
		}
	}
}

// A client with its own ideas: no releaseStream, AMF3 commands, play2, commands nobody knows.
func TestServerAgainstOddClients(t *testing.T) {
	s := NewServer(ServerConfig{Random: randomBytes(2)})
	w := NewWriter(0)
	shake := AppendC0C1(nil, 0, DigestNone, randomBytes(3))
	shake = append(shake, make([]byte, 1536)...) // a C2 of zeros
	if evs, err := feedAll(s, shake); err != nil || len(evs) != 0 || !s.Handshaken() {
		t.Fatalf("handshake: %v, %v", evs, err)
	}
	call := func(typ uint8, stream uint32, name string, args ...any) []Event {
		t.Helper()
		p := Command{name, 1, args}.AppendPayload(nil)
		if typ == TypeCommandAMF3 {
			p = append([]byte{0}, p...)
		}
		evs, err := feedAll(s, w.Append(nil, Message{3, typ, stream, 0, p}))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return evs
	}
	call(TypeCommandAMF0, 0, "createStream", nil) // before connect: counted
	if s.Stats().Dropped(DropUnexpected) != 1 {
		t.Errorf("drops = %v", s.Stats().Drops)
	}
	call(TypeCommandAMF3, 0, "connect", amf.Object{{Key: "app", Value: "/live/?vhost=x"}, {Key: "objectEncoding", Value: 3.0}})
	call(TypeCommandAMF3, 0, "createStream", nil)
	call(TypeCommandAMF0, 0, "_checkbw", nil)
	call(TypeCommandAMF0, 0, "getStreamLength", nil, "key")
	call(TypeCommandAMF0, 0, "nobodyKnows", nil)
	evs := call(TypeCommandAMF3, 1, "publish", nil, "a/key?x=1", "live")
	if len(evs) != 1 || evs[0].Kind != EventPublish || evs[0].Request.Name() != "live/a/key" || evs[0].Request.Query != "x=1" {
		t.Fatalf("publish: %+v", evs)
	}
	s.Accept()
	if evs = call(TypeCommandAMF0, 1, "publish", nil, "other", "live"); len(evs) != 0 {
		t.Errorf("a second publish is an event: %+v", evs)
	}
	if evs = call(TypeCommandAMF0, 0, "deleteStream", nil, 9.0); len(evs) != 0 {
		t.Errorf("deleteStream of another stream: %+v", evs)
	}
	if evs = call(TypeCommandAMF0, 1, "closeStream", nil); !slices.Equal(kinds(evs), []EventKind{EventStop}) {
		t.Errorf("closeStream: %+v", evs)
	}
	evs = call(TypeCommandAMF0, 1, "play2", nil, amf.Object{{Key: "streamName", Value: "key"}})
	if len(evs) != 1 || evs[0].Kind != EventPlay || evs[0].Request.Query != "vhost=x" {
		t.Fatalf("play2: %+v", evs)
	}
	s.Reject(CodePlayNotFound, "")
	if got := s.Stats().Dropped(DropUnknownCommand); got != 1 {
		t.Errorf("unknown commands = %d, want 1", got)
	}
}

func TestWindowAndPing(t *testing.T) {
	c, s := pair(t, "rtmp://host/live/key", false)
	if _, err := talk(t, c, s, func(Event) { s.Accept() }); err != nil {
		t.Fatal(err)
	}
	var scratch [16]byte
	s.send(control(TypeWindowAckSize, scratch[:0], 1000))
	s.send(userControl(userPingRequest, scratch[:0], 0xabcdef01))
	if _, err := feedAll(c, bytes.Clone(s.Output())); err != nil {
		t.Fatal(err)
	}
	msgs, err := readAll(t, NewReader(Limits{}), c.Output(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	found := map[uint8][]byte{}
	for _, m := range msgs {
		found[m.Type] = m.Payload
	}
	if want := unhex(t, "0007 abcdef01"); !bytes.Equal(found[TypeUserControl], want) {
		t.Errorf("ping answer = %x, want %x", found[TypeUserControl], want)
	}
	for range 10 {
		s.send(userControl(userStreamDry, scratch[:0], make([]uint32, 1)...))
		s.send(Message{ChunkStream: 4, Type: TypeAudio, Stream: 1, Payload: make([]byte, 200)})
	}
	if _, err := feedAll(c, bytes.Clone(s.Output())); err != nil {
		t.Fatal(err)
	}
	if msgs, _ = readAll(t, NewReader(Limits{}), c.Output(), 1000); len(msgs) == 0 || msgs[0].Type != TypeAcknowledgement {
		t.Errorf("no acknowledgement after 2000 bytes of a window of 1000: %v", msgs)
	}
}

func TestParseURL(t *testing.T) {
	for _, c := range []struct{ in, host, port, app, key, tc string }{
		{"rtmp://h/live/key", "h", "1935", "live", "key", "rtmp://h/live"},
		{"rtmp://h:19350/live/a/b/key?x=1/2&y=3", "h", "19350", "live/a/b", "key?x=1/2&y=3", "rtmp://h:19350/live/a/b"},
		{"rtmps://h/live/key", "h", "443", "live", "key", "rtmps://h/live"},
		{"rtmp://u:p@h/live/key", "h", "1935", "live", "key", "rtmp://h/live"},
		{"rtmp://[::1]:1936/live/key", "::1", "1936", "live", "key", "rtmp://[::1]:1936/live"},
		{"rtmp://h/app?vhost=v/key", "h", "1935", "app?vhost=v", "key", "rtmp://h/app?vhost=v"},
		{"rtmp://h/key", "h", "1935", "", "key", "rtmp://h/"},
		{"rtmp://h//live//key", "h", "1935", "live", "key", "rtmp://h/live"},
	} {
		got, err := ParseURL(c.in)
		if err != nil || got.Host != c.host || got.Port != c.port || got.App != c.app || got.Key != c.key || got.TCURL() != c.tc {
			t.Errorf("%s = %+v (%s), %v", c.in, got, got.TCURL(), err)
		}
		if s := got.String(); strings.Contains(s, "x=1") || strings.Contains(s, "p@") {
			t.Errorf("%s: secrets in %q", c.in, s)
		}
	}
	for _, bad := range []string{"", "http://h/a/b", "rtmp://", "rtmp:///a/b", "rtmp://h", "rtmp://h/", "rtmp://h:x/a/b"} {
		if got, err := ParseURL(bad); !errors.Is(err, ErrURL) {
			t.Errorf("%q = %+v, %v; want ErrURL", bad, got, err)
		}
	}
}

// The vectors follow from the formula base64(md5(base64(md5(user+salt+password)) + (opaque or challenge) + ours)).
func TestAdobeAuthSteps(t *testing.T) {
	first := &StatusError{Description: "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "}
	q, ok := NextAuth(first, "user", "pass", "deadbeef")
	if !ok || q != "authmod=adobe&user=user" {
		t.Errorf("first step = %q, %v", q, ok)
	}
	second := &StatusError{Description: "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=user&salt=c2FsdA==&challenge=1234&opaque=b3BhcXVl"}
	q, ok = NextAuth(second, "user", "pass", "deadbeef")
	want := "authmod=adobe&user=user&challenge=deadbeef&response=" + md5Base64(md5Base64("userc2FsdA==pass")+"b3BhcXVl"+"deadbeef") + "&opaque=b3BhcXVl"
	if !ok || q != want {
		t.Errorf("second step = %q, want %q", q, want)
	}
	if _, ok = NextAuth(&StatusError{Description: "authmod=adobe : ?reason=authfailed&opaque=x"}, "user", "pass", "x"); ok {
		t.Errorf("a failed authentication has no next step")
	}
	if md5Base64("") != "1B2M2Y8AsgTpgAmY7PhCfg==" { // RFC 1321 A.5: MD5 ("") = d41d8cd98f00b204e9800998ecf8427e
		t.Errorf("md5Base64 is wrong")
	}
}

func FuzzServer(f *testing.F) {
	c, s := NewClient(ClientConfig{Target: Target{App: "live", Key: "key", tcHost: "h"}, Random: randomBytes(1)}), NewServer(ServerConfig{Random: randomBytes(2)})
	var sent []byte
	for range 6 {
		out := bytes.Clone(c.Output())
		sent = append(sent, out...)
		if evs, _ := feedAll(s, out); len(evs) > 0 {
			s.Accept()
		}
		_, _ = feedAll(c, bytes.Clone(s.Output()))
	}
	sent = c.Media().Append(sent, TypeVideo, 0, make([]byte, 300))
	c.End()
	sent = append(sent, c.Output()...)
	f.Add(sent[1537+1536:], uint16(100), true)
	f.Add(sent[1537+1536:], uint16(1), false)
	shake := sent[:1537+1536]
	f.Fuzz(func(t *testing.T, b []byte, step uint16, accept bool) {
		s := NewServer(ServerConfig{Random: randomBytes(2)[:RandomSize], Limits: Limits{MessageSize: 4096}})
		if _, err := feedAll(s, shake); err != nil {
			t.Fatal(err)
		}
		s.Output()
		for len(b) > 0 {
			piece := b[:min(1+int(step), len(b))]
			b = b[len(piece):]
			evs, err := feedAll(s, piece)
			for _, ev := range evs {
				switch {
				case ev.Kind != EventPublish && ev.Kind != EventPlay:
				case accept:
					s.Accept()
				default:
					s.Reject(CodePublishRejected, "fuzz")
				}
			}
			// The shell empties the output after each read: an answer may be longer than its question, not without bound.
			if out := s.Output(); len(out) > 64*(len(piece)+64) {
				t.Fatalf("%d bytes in, %d out", len(piece), len(out))
			}
			if err != nil {
				return
			}
		}
	})
}

func FuzzClient(f *testing.F) {
	target := Target{App: "live", Key: "key", tcHost: "h"}
	s := NewServer(ServerConfig{Random: randomBytes(2)})
	c := NewClient(ClientConfig{Target: target, Random: randomBytes(1)})
	var sent []byte
	for range 6 {
		if evs, _ := feedAll(s, bytes.Clone(c.Output())); len(evs) > 0 {
			s.Accept()
		}
		out := bytes.Clone(s.Output())
		sent = append(sent, out...)
		_, _ = feedAll(c, out)
	}
	f.Add(sent[1+2*1536:], uint16(50), false)
	f.Add(sent[1+2*1536:], uint16(1), true)
	shake := sent[:1+2*1536]
	f.Fuzz(func(t *testing.T, b []byte, step uint16, play bool) {
		c := NewClient(ClientConfig{Target: target, Play: play, Random: randomBytes(1), Limits: Limits{MessageSize: 4096}})
		if _, err := feedAll(c, shake); err != nil {
			t.Fatal(err)
		}
		for len(b) > 0 {
			piece := b[:min(1+int(step), len(b))]
			b = b[len(piece):]
			if _, err := feedAll(c, piece); err != nil {
				return
			}
			c.Output()
		}
		c.End()
	})
}

func FuzzParseCommand(f *testing.F) {
	f.Add(uint8(TypeCommandAMF0), Command{"publish", 5, []any{nil, "key", "live"}}.AppendPayload(nil))
	f.Add(uint8(TypeCommandAMF3), append([]byte{0}, Command{"connect", 1, []any{amf.Object{{Key: "app", Value: "live"}}}}.AppendPayload(nil)...))
	f.Add(uint8(TypeCommandAMF0), []byte{2, 0, 1, 'x', 0})
	f.Fuzz(func(t *testing.T, typ uint8, b []byte) {
		c, ok := ParseCommand(Message{Type: typ, Payload: b})
		if !ok {
			return
		}
		st := statusOf(c)
		_ = st.Error()
		_, _ = NextAuth(st, "u", "p", "c")
		again, ok := ParseCommand(Message{Type: TypeCommandAMF0, Payload: c.AppendPayload(nil)})
		if !ok || again.Name != c.Name {
			t.Fatalf("written and read again: %+v, want %+v", again, c)
		}
	})
}
