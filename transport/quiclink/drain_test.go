package quiclink

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
)

// A relay that is going away sends its publisher to another one: what is written before a key frame goes here, what comes
// from there on goes there, and no frame is missing between them.
func TestDrainLosesNothing(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	first, second := newCollector(), newCollector()
	here, there := relayFor(t, first), relayFor(t, second)
	c, done := publish(t, urlOf(here, netip.AddrPort{}, "&token=kept"), steady)
	drained := make(chan time.Duration, 1)
	go func() {
		time.Sleep(200 * time.Millisecond)
		begin := time.Now()
		here.Drain(context.Background(), 3*need.Patience, urlOf(there, netip.AddrPort{}, ""))
		drained <- time.Since(begin)
	}()
	frames := feedUntil(t, c, 0, "moved", func() bool { return c.Stats().Drains == 1 })
	feed(t, c, frames, 20)
	frames += 20
	second.has(frames)
	if _, err := Dial(t.Context(), urlOf(here, netip.AddrPort{}, ""), DialConfig{}); err == nil {
		t.Error("a draining relay takes publishers")
	} else if r, ok := errors.AsType[*Rejection](err); !ok || r.Status != 503 {
		t.Errorf("a draining relay says %v, want 503", err)
	}
	finish(t, c, done, first, second)
	n := len(first.frames)
	if n == 0 || n%50 != 0 {
		t.Errorf("the stream moved at frame %d, want a key frame", n)
	}
	first.frames = append(first.frames, second.frames...)
	first.wantAll(t, frames)
	if first.end.Err != nil || second.end.Err != nil {
		t.Errorf("the sessions ended with %v and %v", first.end.Err, second.end.Err)
	}
	if st := c.Stats(); st.Drains != 1 || st.Reconnects != 0 || st.Relay.FramesDelivered != st.Sender.FramesSent {
		t.Errorf("%d drains, %d reconnects, %d of %d frames delivered", st.Drains, st.Reconnects, st.Relay.FramesDelivered, st.Sender.FramesSent)
	}
	if d := <-drained; d > need.Patience {
		t.Errorf("draining took %v, though the publisher had gone", d)
	}
}

// There is no other relay: the stream stays until the end.
func TestDrainWithoutAnotherRelay(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	sink := newCollector()
	l := relayFor(t, sink)
	c, done := publish(t, urlOf(l, netip.AddrPort{}, ""), steady)
	go func() {
		time.Sleep(100 * time.Millisecond)
		l.Drain(context.Background(), need.Patience, "")
	}()
	feed(t, c, 0, 60)
	sink.has(60)
	finish(t, c, done, sink)
	sink.wantAll(t, 60)
	if st := c.Stats(); st.Drains != 0 || st.Reconnects != 0 {
		t.Errorf("%d drains, %d reconnects", st.Drains, st.Reconnects)
	}
}

func TestWhereADrainingRelaySends(t *testing.T) {
	s := sending{target: Target{Addr: "a:1", Name: "live/x", Token: "t", Latency: time.Second, Carriage: SRTP, InOrder: true}}
	if got, err := s.moveTo(""); err != nil || got != s.target {
		t.Errorf("nowhere: %+v, %v", got, err)
	}
	got, err := s.moveTo("fairlead://b/live/y?latency=2s")
	want := Target{Host: "b", Addr: "b:4433", Name: "live/y", Token: "t", Latency: 2 * time.Second, Carriage: SRTP, InOrder: true}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := s.moveTo("http://b/"); err == nil {
		t.Error("another scheme is taken")
	}
}
