package srtlink

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
)

func TestStreamIDForms(t *testing.T) {
	for _, c := range []struct {
		in   string
		want StreamID
		err  bool
	}{
		{"publish:live/cam", StreamID{Publish: true, App: "live", Key: "cam"}, false},
		{"publish:live/cam:bob:secret", StreamID{Publish: true, App: "live", Key: "cam", User: "bob", Token: "secret"}, false},
		{"read:live/cam", StreamID{App: "live", Key: "cam"}, false},
		{"#!::m=publish,r=live/cam,u=bob,s=tok", StreamID{Publish: true, App: "live", Key: "cam", User: "bob", Token: "tok"}, false},
		{"#!::r=/live/cam,m=publish", StreamID{Publish: true, App: "live", Key: "cam"}, false},
		{"#!::r=live/cam", StreamID{App: "live", Key: "cam"}, false},
		{"#!::h=x,r=live/cam?token=abc,m=publish", StreamID{Publish: true, App: "live", Key: "cam", Token: "abc"}, false},
		{"publish/live/cam", StreamID{Publish: true, App: "live", Key: "cam"}, false},
		{"play/live/cam", StreamID{App: "live", Key: "cam"}, false},
		{"publish/cam", StreamID{Publish: true, App: "live", Key: "cam"}, false},
		{"cam", StreamID{Publish: true, App: "live", Key: "cam"}, false},
		{"live/cam", StreamID{Publish: true, App: "live", Key: "cam"}, false},
		{"a/b/cam", StreamID{Publish: true, App: "a/b", Key: "cam"}, false},
		{"", StreamID{}, true},
		{"publish:", StreamID{}, true},
		{"#!::m=bidirectional,r=a/b", StreamID{}, true},
		{"#!::nonsense", StreamID{}, true},
		{"#!:{r=a}", StreamID{}, true},
	} {
		got, err := ParseStreamID(c.in)
		if c.err {
			if !errors.Is(err, ErrStreamID) {
				t.Errorf("%q: got %+v, %v; want ErrStreamID", c.in, got, err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%q: got %+v, %v; want %+v", c.in, got, err, c.want)
		}
	}
}

func FuzzParseStreamID(f *testing.F) {
	for _, s := range []string{"publish:live/cam:u:p", "#!::m=publish,r=live/cam", "publish/live/cam", "cam", "#!:{", "a/b?token=x&y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseStreamID(s)
		if err == nil && (id.Key == "" || strings.Contains(id.Key, "/")) {
			t.Errorf("%q gave key %q", s, id.Key)
		}
	})
}

// both names the implementations of the listener.
var both = []string{Own, GoSRT}

// serve runs a listener that admits live/good and collects what its publishers send.
func serve(t *testing.T, listener, passphrase string) (addr string, got func() []byte) {
	t.Helper()
	var mu sync.Mutex
	var data []byte
	l, err := Listen(Config{Addr: "127.0.0.1:0", Listener: listener, Passphrase: passphrase, Admit: func(r Request) (func(context.Context, *Conn), error) {
		switch {
		case !r.StreamID.Publish:
			return nil, &Rejection{CodeBadMode, "no playing here"}
		case r.StreamID.Key != "good":
			return nil, &Rejection{CodeUnauthorized, "unknown key"}
		}
		return func(_ context.Context, c *Conn) {
			if c == nil {
				return
			}
			b := make([]byte, MaxPayload)
			for {
				n, err := c.Read(b)
				if err != nil {
					return
				}
				mu.Lock()
				data = append(data, b[:n]...)
				mu.Unlock()
			}
		}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), func() []byte {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Clone(data)
	}
}

func TestCallerReachesListener(t *testing.T) {
	for _, with := range []struct{ listener, pass string }{{Own, ""}, {Own, "sixteen letters!"}, {GoSRT, ""}, {GoSRT, "sixteen letters!"}} {
		pass := with.pass
		addr, got := serve(t, with.listener, pass)
		c, err := Dial(addr, DialConfig{StreamID: "publish:live/good", Passphrase: pass, Latency: 500 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		msg := bytes.Repeat([]byte{0x47, 1, 2, 3}, 188/4*7)
		for range 5 {
			if _, err := c.Write(msg); err != nil {
				t.Fatal(err)
			}
		}
		want := bytes.Repeat(msg, 5)
		for end := time.Now().Add(need.Patience); !bytes.Equal(got(), want); {
			if time.Now().After(end) {
				t.Fatalf("%s, passphrase %q: %d bytes came through, want %d", with.listener, pass, len(got()), len(want))
			}
			time.Sleep(5 * time.Millisecond)
		}
		_ = c.Close()
	}
}

func TestRejectionCodes(t *testing.T) {
	for _, c := range []struct {
		listener, caller, id string
		code                 uint32
	}{
		{"", "", "publish:live/bad", 2401},
		{"", "", "read:live/good", 2405},
		{"", "", "#!::nonsense", 2400},
		{"long enough secret", "another long secret", "good", 1010},
		{"long enough secret", "", "good", 1011},
		{"", "long enough secret", "good", 1011},
	} {
		for _, listener := range both {
			addr, _ := serve(t, listener, c.listener)
			conn, err := Dial(addr, DialConfig{StreamID: c.id, Passphrase: c.caller, Timeout: need.Patience})
			if err == nil {
				_ = conn.Close()
				t.Errorf("%s: %+v was accepted", listener, c)
				continue
			}
			if r, ok := errors.AsType[*Rejection](err); !ok || r.Code != c.code {
				t.Errorf("%s: %+v: got %v", listener, c, err)
			}
		}
	}
}

func TestConfigNamesTheField(t *testing.T) {
	if _, err := Listen(Config{Passphrase: "short"}); err == nil || !strings.Contains(err.Error(), "passphrase") {
		t.Errorf("got %v", err)
	}
	if _, err := Listen(Config{Listener: "libsrt"}); err == nil || !strings.Contains(err.Error(), "listener") {
		t.Errorf("got %v", err)
	}
}

func TestTheLogSaysTheSameOnce(t *testing.T) {
	var q quiet
	now, host := time.Unix(0, 0), netip.MustParseAddr("192.0.2.1")
	said := 0
	for range 1000 {
		if _, speak := q.tell(now, host, "wrong"); speak {
			said++
		}
	}
	if more, speak := q.tell(now.Add(quietFor), host, "wrong"); said != 1 || !speak || more != 999 {
		t.Errorf("said %d times, then %v with %d left out", said, speak, more)
	}
	for i := range 10_000 {
		q.tell(now, host, string(rune(i)))
	}
	if len(q.seen) > quietMax {
		t.Errorf("remembers %d", len(q.seen))
	}
}
