package relay

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/api"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

// A relay that is taken out of service asks a publisher over RTMP that understands it to go to the next relay, takes no others, and when the
// time is over ends those that cannot be asked: an SRT caller reads a shutdown.
func TestDrainMovesWhoCanBeAskedAndEndsTheRest(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	next := startRelay(t, config.Relay{Key: []string{"live/moves"}})
	r := startRelay(t, config.Relay{Key: []string{"live/moves", "live/srt", "live/late"}})
	srt, rtmp, _ := r.Addrs()
	_, nextRTMP, _ := next.Addrs()
	from := startRelay(t, config.Relay{Key: []string{"live/moves"}, Push: []string{"live/moves=rtmp://" + rtmp.String() + "/live/moves"}})
	fromSRT, _, _ := from.Addrs()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = publishClip(ctx, fromSRT.String(), "live/moves") })
	shut := make(chan error, 1)
	wg.Go(func() { shut <- publishClip(ctx, srt.String(), "live/srt") })
	waitStream(t, r, "live/moves")
	waitStream(t, r, "live/srt")
	begun := time.Now()
	if err := (operator{r}).Drain(5*time.Second, "", "rtmp://"+nextRTMP.String()); err != nil {
		t.Fatal(err)
	}
	need.Until(t, "no publisher over SRT is taken", func() bool {
		conn, err := srtlink.Dial(srt.String(), srtlink.DialConfig{StreamID: "publish:live/late"})
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	waitStream(t, next, "live/moves")
	if err := <-shut; err == nil {
		t.Error("the SRT caller did not notice its end")
	}
	if took := time.Since(begun); took < 5*time.Second {
		t.Errorf("it was ended after %v", took)
	}
	need.Until(t, "nobody is left", func() bool { return r.Drained().State == "drained" && len(r.Drained().Publishers) == 0 })
	if !slices.ContainsFunc(r.Refused(), func(f api.Refusal) bool { return f.Protocol == "srt" && f.Reason == "draining" && f.Count > 0 }) {
		t.Errorf("refused: %+v", r.Refused())
	}
	for _, o := range from.Outputs() {
		if st := o.Stats(); st.Dropped != 0 || st.Publishes != 2 {
			t.Errorf("the publisher that moved: %+v", st)
		}
	}
}
