package relay

import (
	"bufio"
	"context"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/api"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/stutter"
)

// A held second is a stalled second, whoever is asked: the player model, the API, the metrics; of the stream, and of a destination, whose viewers wait for
// the publisher and not for the destination. What is shown meanwhile flatters nobody.
func TestAHeldSecondIsAStalledSecond(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	tier := startRelay(t, config.Relay{Key: []string{"live/cam"}, Hold: time.Minute})
	r := startRelay(t, config.Relay{Key: []string{"live/cam"}, API: "127.0.0.1:0", Hold: time.Minute, Push: []string{"live/cam=" + tier.rtmpURL("live/cam")}})
	srt, _, _ := r.Addrs()
	publish := func() (end func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = publishClip(ctx, srt.String(), "live/cam") }()
		return func() { cancel(); <-done }
	}
	end := publish()
	waitStream(t, tier, "live/cam")
	time.Sleep(2 * time.Second)
	end()
	need.Until(t, "the publisher gone", func() bool { return !r.hub.Publishing("live/cam") })
	gone := time.Now()
	before := r.streamNamed(t, "live/cam")
	time.Sleep(*gapFor + 3*time.Second)
	var now api.Stream
	r.ask(t, http.MethodGet, "/v1/streams/live/cam", &now)
	if now.State != "held" || now.Stutter.Now == "" || now.Stutter.NowMS < (*gapFor).Milliseconds() || now.Held == 0 {
		t.Errorf("in the gap: %s, %+v, %d frames held", now.State, now.Stutter, now.Held)
	}
	if m := r.metrics(t); m[`fairlead_stream_stalled{stream="live/cam"}`] != 1 {
		t.Errorf("in the gap the metric says that nobody waits")
	}
	end = publish()
	defer end()
	need.Until(t, "back", func() bool { return r.streamNamed(t, "live/cam").Counts.Frames > before.Counts.Frames+60 })
	lasted := time.Since(gone)

	var st, tierOf stutter.Report
	need.Until(t, "the stall settled, of the stream and of the destination", func() bool {
		st, tierOf = r.streamNamed(t, "live/cam").Stutter, r.Outputs()[0].Stats().Stutter
		return st.Settled == st.Total && tierOf.Settled == tierOf.Total && !st.Stalled && !tierOf.Stalled && st.Total.Sum() > 0
	})
	var metered map[string]float64
	var shown struct{ stream, output map[string]float64 }
	need.Until(t, "all asked at one moment", func() bool { // on a busy machine the clip itself may stall at any time
		st, tierOf = r.streamNamed(t, "live/cam").Stutter, r.Outputs()[0].Stats().Stutter
		var s api.Stream
		var o struct{ Outputs []api.Output }
		r.ask(t, http.MethodGet, "/v1/streams/live/cam", &s)
		r.ask(t, http.MethodGet, "/v1/outputs", &o)
		shown.stream, shown.output = s.Stutter.Total, o.Outputs[0].Stutter.Total
		metered = r.metrics(t)
		return st.Total == r.streamNamed(t, "live/cam").Stutter.Settled && tierOf.Total == r.Outputs()[0].Stats().Stutter.Settled
	})
	id := operator{r}.Outputs()[0].ID
	for c := range stutter.Cause(stutter.Causes) {
		for _, x := range []struct {
			what   string
			want   time.Duration
			api    map[string]float64
			metric string
		}{
			{"stream", st.Total[c], shown.stream, `fairlead_stream_stall_seconds_total{cause="` + c.String() + `",stream="live/cam"}`},
			{"destination", tierOf.Total[c], shown.output, `fairlead_output_stall_seconds_total{cause="` + c.String() + `",id="` + id + `",stream="live/cam"}`},
		} {
			metric, ok := metered[x.metric]
			if want := x.want.Seconds(); !ok || math.Abs(x.api[c.String()]-want) > 0.002 || math.Abs(metric-want) > 0.002 {
				t.Errorf("%s, %v: stutter says %.3f s, the API %.3f s, the metrics %.3f s (%v)", x.what, c, want, x.api[c.String()], metric, ok)
			}
		}
	}
	// A second of buffer is shown first, and the first pictures of who is back may come ahead of their time.
	least := lasted - 4500*time.Millisecond
	if d := st.Total.Sum(); d < *gapFor || d < least {
		t.Errorf("held for about %v, stalled for %v", lasted, st.Total)
	}
	if d := tierOf.Total.Sum(); d < *gapFor || d < least {
		t.Errorf("held for about %v, the destination's viewers stalled for %v", lasted, tierOf.Total)
	}
	if st.Total != (stutter.ByCause{stutter.Encoder: st.Total[stutter.Encoder]}) && gapGiven() { // a busy machine has causes of its own
		t.Errorf("it has said that it ends, and the stall is by %v", st.Total)
	}
	t.Logf("gone for %v: stream %v, destination %v", lasted.Round(10*time.Millisecond), st.Total, tierOf.Total)
}

// metrics are the samples of /metrics.
func (r *Relay) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	res, err := http.Get("http://" + r.api.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out := map[string]float64{}
	for in := bufio.NewScanner(io.LimitReader(res.Body, 1<<20)); in.Scan(); {
		i := strings.LastIndexByte(in.Text(), ' ')
		if i < 0 || strings.HasPrefix(in.Text(), "#") {
			continue
		}
		if v, err := strconv.ParseFloat(in.Text()[i+1:], 64); err == nil {
			out[in.Text()[:i]] = v
		}
	}
	if len(out) == 0 {
		t.Fatal("no metrics")
	}
	return out
}
