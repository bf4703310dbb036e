package events

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestSlowListenerLosesEventsAndIsTold(t *testing.T) {
	b := NewBus()
	l := b.Listen(0)
	defer l.Close()
	const n = 2 * (kept + waiting)
	for i := range n {
		b.Publish(Publish, "live/cam", map[string]any{"i": i})
	}
	for range cap(l.C) {
		<-l.C
	}
	b.Publish(Unpublish, "live/cam", nil)
	first, second := <-l.C, <-l.C
	if first.Type != Lost || first.Data["events"] != uint64(n-kept-waiting) || second.Type != Unpublish {
		t.Errorf("got %+v, %+v; want what was lost, and then what happened", first, second)
	}
	if got := b.Dropped(); got != n-kept-waiting {
		t.Errorf("%d dropped", got)
	}
}

func TestSSE(t *testing.T) {
	b := NewBus()
	srv := httptest.NewServer(Handler(b, nil))
	defer srv.Close()
	b.Publish(Publish, "live/a", nil)
	b.Publish(Publish, "live/b", nil)
	b.Publish(StallBegin, "live/b", map[string]any{"cause": "path"})
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"?stream=live/b&type=stall_begin,stall_end", nil)
	req.Header.Set("Last-Event-ID", "1")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	read := func() (e Event) {
		for lines.Scan() {
			if body, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(body), &e); err != nil {
					t.Fatal(err)
				}
				return e
			}
		}
		t.Fatal("the response ended")
		return e
	}
	if e := read(); e.ID != 3 || e.Type != StallBegin || e.Data["cause"] != "path" {
		t.Errorf("what was missed: %+v", e)
	}
	b.Publish(StallEnd, "live/a", nil)
	b.Publish(StallEnd, "live/b", nil)
	if e := read(); e.ID != 5 || e.Stream != "live/b" {
		t.Errorf("what happened: %+v", e)
	}
}

// A webhook that is down for a while gets every event, in order, each signed for the time it was sent.
func TestWebhookTriesAgain(t *testing.T) {
	secret := []byte("a secret of the operator")
	var mu sync.Mutex
	var got []Event
	refuse := 3
	done := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if err := Verify(secret, time.Now(), time.Minute, r.Header.Get(SignatureHeader), body); err != nil {
			t.Errorf("signature: %v", err)
		}
		if refuse--; refuse >= 0 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		var e Event
		_ = json.Unmarshal(body, &e)
		if e.Type == Reload {
			w.WriteHeader(http.StatusGone) // refused for good: not tried again
			return
		}
		if got = append(got, e); len(got) == 3 {
			close(done)
		}
	}))
	defer srv.Close()
	b := NewBus()
	w := &Webhook{URL: srv.URL, Secret: secret, Retry: time.Millisecond}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.Run(ctx, b) })
	defer wg.Wait()
	defer cancel()
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		n := len(b.readers)
		b.mu.Unlock()
		if n == 1 {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("it does not listen")
		}
	}
	b.Publish(Publish, "live/cam", nil)
	b.Publish(Reload, "", nil)
	b.Publish(Hold, "live/cam", nil)
	b.Publish(Resume, "live/cam", nil)
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("events are missing")
	}
	for limit := time.Now().Add(20 * time.Second); w.Stats().Posted != 3; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%+v", w.Stats())
		}
	}
	if s := w.Stats(); s.Failed != 1 || s.Lost != 0 {
		t.Errorf("%+v, want 1 refused for good", s)
	}
	mu.Lock()
	defer mu.Unlock()
	if got[0].Type != Publish || got[1].Type != Hold || got[2].Type != Resume {
		t.Errorf("order: %v", got)
	}
}

func TestVerify(t *testing.T) {
	secret, body, now := []byte("s"), []byte(`{"id":1}`), time.Unix(1_800_000_000, 0)
	good := Sign(secret, now, body)
	for _, c := range []struct {
		why    string
		header string
		body   string
		now    time.Time
		secret string
		want   error
	}{
		{"as it was sent", good, `{"id":1}`, now.Add(time.Minute), "s", nil},
		{"beside one of another secret", "v1=00," + good, `{"id":1}`, now, "s", nil},
		{"another body", good, `{"id":2}`, now, "s", ErrSignature},
		{"another secret", good, `{"id":1}`, now, "t", ErrSignature},
		{"another time", strings.Replace(good, "t=18", "t=19", 1), `{"id":1}`, now, "s", ErrSignature},
		{"old", good, `{"id":1}`, now.Add(6 * time.Minute), "s", ErrOld},
		{"nothing", "", `{"id":1}`, now, "s", ErrSignature},
	} {
		if err := Verify([]byte(c.secret), c.now, 5*time.Minute, c.header, []byte(c.body)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.why, err, c.want)
		}
	}
}

func FuzzVerify(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	f.Add(Sign([]byte("s"), now, []byte("x")))
	f.Add("t=,v1=zz,=,,v1")
	f.Fuzz(func(t *testing.T, header string) {
		if Verify([]byte("other"), now, time.Minute, header, []byte("x")) == nil {
			t.Error("a signature was guessed")
		}
	})
}
