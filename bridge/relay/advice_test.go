package relay

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/push"
)

// What a QUIC publisher tells its encoder can be heard at the relay, and what the relay asks of it.
func TestRelayHearsAQUICPublishersTarget(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of real time: make test runs it")
	}
	r := startQUIC(t, config.Relay{Key: []string{"live/cam"}})
	board := r.Feedback()
	watch := board.Watch("live/cam")
	defer watch.Close()
	p, err := push.New(push.Config{Input: clipFile(t, 300), URLs: []string{r.QUICURL("live/cam")}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	stop, end := context.WithCancel(ctx)
	defer end()
	wg.Go(func() { _ = p.Run(stop) })
	for heard := false; !heard; {
		select {
		case <-watch.Changed:
		case <-ctx.Done():
			t.Fatal("the relay's feed says nothing")
		}
		if n := watch.Next(); n.Report != nil {
			heard = true
			if n.Report.Target <= 0 || n.Report.Reason == "unknown" || n.Report.Reason == "" {
				t.Errorf("the feed says %+v", n.Report)
			}
		}
	}
	end()
	for gone := false; !gone; {
		select {
		case <-watch.Changed:
			gone = watch.Next().Gone
		case <-ctx.Done():
			t.Fatal("the feed does not say that the publisher has gone")
		}
	}
}
