package feedback_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-live/fairlead/bridge/feedback"
	"github.com/fairlead-live/fairlead/congestion"
)

func report(rate congestion.Bitrate) feedback.Report {
	return feedback.Report{Target: rate, Reason: "track", Queue: 12345 * time.Microsecond, Loss: 0.0211}
}

// What a client reads: the newest target, then each change as congestion.Advice has it, key-frame requests, and the end.
func TestFeed(t *testing.T) {
	board := feedback.NewBoard()
	srv := httptest.NewServer(feedback.New(feedback.Config{Board: board}))
	defer srv.Close()
	e := board.Open("live/cam")
	now := time.Now()
	e.Set(now, report(4e6))
	var got []string
	done := errors.New("done")
	err := feedback.Listen(t.Context(), http.DefaultClient, srv.URL+"/v1/streams/live/cam/feedback", func(n feedback.News) error {
		switch {
		case n.Gone:
			got = append(got, "gone")
			return done
		case n.Keyframe:
			got = append(got, "keyframe")
			e.Close()
		case n.Report.Target == 4e6:
			got = append(got, "first")
			if *n.Report != (feedback.Report{Target: 4e6, Reason: "track", Queue: 12300 * time.Microsecond, Loss: 0.0211}) {
				t.Errorf("%+v", *n.Report)
			}
			e.Set(now.Add(100*time.Millisecond), report(5e6)) // up: not so soon
			e.Set(now.Add(120*time.Millisecond), report(2e6)) // down: at once
		case n.Report.Target == 2e6:
			got = append(got, "down")
			e.Set(now.Add(130*time.Millisecond), report(2e6)) // nothing new
			e.Keyframe()
		default:
			t.Errorf("%+v", *n.Report)
		}
		return nil
	})
	if want := "first down keyframe gone"; !errors.Is(err, done) || strings.Join(got, " ") != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestFeedRefusals(t *testing.T) {
	board := feedback.NewBoard()
	refuse := errors.New("no")
	h := feedback.New(feedback.Config{Board: board, MaxClients: 1, Authorize: func(_ context.Context, name string, _ *http.Request) error {
		if name == "live/secret" {
			return refuse
		}
		return nil
	}})
	srv := httptest.NewServer(h)
	defer srv.Close()
	open, err := http.Get(srv.URL + "/v1/streams/live/a/feedback") // takes the one place, though nobody publishes it yet
	if err != nil {
		t.Fatal(err)
	}
	defer open.Body.Close()
	if got := open.Header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("pages of other sites may read it: %q", got)
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/v1/streams/live/b/feedback", 503}, {"GET", "/v1/streams/live/secret/feedback", 403},
		{"POST", "/v1/streams/live/a/feedback", 405}, {"GET", "/v1/streams/a/feedback", 404}, {"GET", "/v1/streams/", 404},
		{"GET", "/v1/streams/" + strings.Repeat("a/", 200) + "/feedback", 404},
	} {
		req, _ := http.NewRequest(c.method, srv.URL+c.path, nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s %.40s: %d, want %d", c.method, c.path, resp.StatusCode, c.want)
		}
	}
}

// A client that does not read is cut after WriteTimeout; until then it holds back nobody and nothing is queued for it.
func TestFeedSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := feedback.NewBoard()
		ln := &oneConn{conns: make(chan net.Conn, 1), done: make(chan struct{})}
		srv := &http.Server{Handler: feedback.New(feedback.Config{Board: board, WriteTimeout: 3 * time.Second, Beat: time.Second})}
		go func() { _ = srv.Serve(ln) }()
		near, far := net.Pipe() // holds nothing: each write waits for its reader
		ln.conns <- far
		if _, err := io.WriteString(near, "GET /v1/streams/live/cam/feedback HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(near).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		e := board.Open("live/cam")
		began := time.Now()
		for i := range 20 {
			e.Set(time.Now(), report(congestion.Bitrate(9e6-1e5*float64(i)))) // nobody waits for the client
			time.Sleep(100 * time.Millisecond)
		}
		if d := time.Since(began); d > 2100*time.Millisecond {
			t.Errorf("20 reports took %v", d)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if _, err := near.Write([]byte("x")); err == nil {
			t.Error("still connected after 5 s without reading")
		}
		if r, ok := board.Latest("live/cam"); !ok || r.Target != 71e5 {
			t.Errorf("latest: %v, %v", r, ok)
		}
		_ = srv.Close()
		near.Close()
		e.Close()
		if _, ok := board.Latest("live/cam"); ok {
			t.Error("a report after the publisher was gone")
		}
	})
}

// oneConn is a listener that accepts what it is given.
type oneConn struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *oneConn) Close() error   { close(l.done); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// The newer entry of a name is the one that counts.
func TestEntryReplaced(t *testing.T) {
	board := feedback.NewBoard()
	old := board.Open("a/b")
	old.Set(time.Now(), report(1e6))
	young := board.Open("a/b")
	young.Set(time.Now(), report(2e6))
	old.Set(time.Now().Add(time.Second), report(3e6))
	old.Close()
	if r, ok := board.Latest("a/b"); !ok || r.Target != 2e6 {
		t.Errorf("latest: %v, %v", r, ok)
	}
}
