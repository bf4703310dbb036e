package relay

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/events"
	"github.com/fairlead-live/fairlead/bridge/hub"
)

// A stream's life is told, to a listener and to a webhook whose answer is late, in the same order.
func TestAStreamsLifeIsTold(t *testing.T) {
	secret := "sixteen or more of it"
	told := make(chan events.Event, 64)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := events.Verify([]byte(secret), time.Now(), 5*time.Minute, r.Header.Get(events.SignatureHeader), body); err != nil {
			t.Error(err)
		}
		var e events.Event
		_ = json.Unmarshal(body, &e)
		told <- e
	}))
	defer srv.Close()
	r := startRelay(t, config.Relay{Key: []string{"live/cam"}, Hold: 200 * time.Millisecond, Webhook: []string{srv.URL}, WebhookSecret: secret})
	l := r.Events().Listen(0)
	defer l.Close()
	for first := true; first; { // until the webhook listens, too
		r.Events().Publish(events.Reload, "", nil)
		select {
		case <-told:
			first = false
		case <-time.After(20 * time.Millisecond):
		}
	}
	seat, err := r.Hub().Subscribe("live/cam", hub.SubscriberInfo{Protocol: "test", Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	defer seat.Close()
	for range 2 {
		p, err := r.Hub().Publish("live/cam", hub.PublisherInfo{Protocol: "test"})
		if err != nil {
			t.Fatal(err)
		}
		p.Close(nil)
	}
	want := []events.Type{events.Publish, events.Unpublish, events.Hold, events.Publish, events.Resume, events.Unpublish, events.Hold, events.End}
	collect := func(who string, c <-chan events.Event) {
		var got []events.Type
		for len(got) < len(want) {
			select {
			case e := <-c:
				if e.Stream == "live/cam" {
					got = append(got, e.Type)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("%s: only %v", who, got)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", who, got, want)
		}
	}
	collect("listener", l.C)
	collect("webhook", told)
}

// Draining over the API happens once, makes the relay unready, and ends when nobody is left.
func TestDrainOverTheAPI(t *testing.T) {
	r := startQUIC(t, config.Relay{Key: []string{"live/cam"}})
	l := r.Events().Listen(0)
	defer l.Close()
	o := operator{r}
	if got := r.Drained().State; got != "serving" {
		t.Errorf("state %q before", got)
	}
	for _, bad := range []struct {
		within time.Duration
		to     string
	}{{time.Millisecond, ""}, {2 * time.Hour, ""}, {0, "http://elsewhere"}} {
		if o.Drain(bad.within, bad.to, "") == nil {
			t.Errorf("drains within %v to %q", bad.within, bad.to)
		}
	}
	if err := o.Drain(30*time.Second, "fairlead://127.0.0.1:4433/live/cam", "rtmp://127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	if err := o.Drain(0, "", ""); err == nil {
		t.Error("drains twice")
	}
	for state := ""; state != "drained"; {
		select {
		case e := <-l.C:
			if e.Type == events.Drain {
				state, _ = e.Data["state"].(string)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("not drained: %+v", r.Drained())
		}
	}
	if r.ready.Load() || r.Drained().State != "drained" {
		t.Errorf("ready %v, %+v", r.ready.Load(), r.Drained())
	}
}
