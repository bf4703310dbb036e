package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/api"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/push"
)

// ask calls the relay's API.
func (r *Relay) ask(t *testing.T, method, path string, into any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.api.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	return resp.StatusCode
}

// A publisher over QUIC through loss is seen with its link, and kicked.
func TestAPIShowsAndKicks(t *testing.T) {
	need.RealTime(t)
	r := startQUIC(t, config.Relay{Key: []string{"live/cam"}, API: "127.0.0.1:0", Push: []string{"live/cam=rtmp://127.0.0.1:9/live/secretkey"}})
	_, url := lossy(t, r, "delay 10ms loss 5%")
	p, err := push.New(push.Config{Input: clipFile(t, 150), URLs: []string{url}, Loop: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	var st api.Stream
	need.Until(t, "a loss is seen, and repaired", func() bool {
		st = api.Stream{}
		if r.ask(t, http.MethodGet, "/v1/streams/live/cam", &st) != 200 || st.Publisher == nil || st.Publisher.Link == nil {
			return false
		}
		l := st.Publisher.Link
		return l.Lost > 0 && l.Retransmitted+l.Repaired > 0 && st.BitrateBPS > 0
	})
	if l := st.Publisher.Link; st.Publisher.Protocol != "quic" || l.RTTms < 15 || l.LatencyMS == 0 {
		t.Errorf("%+v %+v", st.Publisher, l)
	}
	var outputs struct{ Outputs []api.Output }
	if r.ask(t, http.MethodGet, "/v1/outputs", &outputs); len(outputs.Outputs) != 1 || outputs.Outputs[0].Stream != "live/cam" || outputs.Outputs[0].ID == "" {
		t.Errorf("%+v", outputs)
	}
	if b, _ := json.Marshal(outputs); string(b) == "" || bytes.Contains(b, []byte("secretkey")) {
		t.Errorf("the key is shown: %s", b)
	}
	if got := r.ask(t, http.MethodDelete, "/v1/streams/live/cam/publisher", nil); got != http.StatusNoContent {
		t.Errorf("kick: %d", got)
	}
	cancel()
	<-done
}
