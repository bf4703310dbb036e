package rtmpserver

import (
	"errors"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
)

// A server that goes away asks its publishers to reconnect, with their app where the address has none, takes no others, and waits for those it
// asked; players stay.
func TestDrainAsksPublishersToReconnect(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	pub, err := dial(t, b, "live/a", false)
	if err != nil {
		t.Fatal(err)
	}
	need.Until(t, "it publishes", func() bool { return b.server.Stats().Publishers == 1 })
	player, err := dial(t, b, "live/a", true)
	if err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	go func() { b.server.Drain(t.Context(), time.Hour, "rtmp://b.example:1936"); close(drained) }()
	ev, err := pub.event(rtmp.EventReconnect)
	if err != nil || ev.TCURL != "rtmp://b.example:1936/live" {
		t.Fatalf("got %+v, %v", ev, err)
	}
	if _, err := dial(t, b, "live/b", false); !errors.Is(err, rtmp.ErrRejected) || b.server.Stats().Refusals(RefusedDraining) != 1 {
		t.Errorf("another publisher: %v, %d refused", err, b.server.Stats().Refusals(RefusedDraining))
	}
	select {
	case <-drained:
		t.Error("it did not wait for the publisher it had asked")
	default:
	}
	if st := b.server.Stats(); st.Publishers != 1 || st.Players != 1 {
		t.Errorf("%+v", st)
	}
	_ = pub.nc.Close()
	select {
	case <-drained:
	case <-time.After(need.Patience):
		t.Error("it waits for nobody")
	}
	_ = player.nc.Close()
}

func TestTheAppIsKept(t *testing.T) {
	for _, c := range [][3]string{
		{"", "live", ""}, {"rtmp://h", "live", "rtmp://h/live"}, {"rtmps://h:443/", "live/x", "rtmps://h:443/live/x"}, {"rtmp://h/other", "live", "rtmp://h/other"},
	} {
		if got := withApp(c[0], c[1]); got != c[2] {
			t.Errorf("%q for %q: %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
