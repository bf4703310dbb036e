package hub

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func piece(n byte, size int, tables, key bool) TSPiece {
	return TSPiece{Data: bytes.Repeat([]byte{n}, size), Tables: tables, Key: key}
}

func firstOf(t *testing.T, s *TSSubscriber) byte {
	t.Helper()
	p, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p.Data[0]
}

// Who joins begins with the tables in front of the newest key picture, or, where none is marked, with the newest tables.
func TestTSJoin(t *testing.T) {
	h := New(Config{})
	pub, _ := h.Publish("a/b", PublisherInfo{})
	if _, err := h.SubscribeTS("a/b", SubscriberInfo{}); !errors.Is(err, ErrNoStream) {
		t.Errorf("no transport stream yet: %v", err)
	}
	for _, c := range []struct {
		p    TSPiece
		join byte
	}{
		{piece(1, 188, false, false), 1}, {piece(2, 188, true, false), 2}, {piece(3, 188, false, false), 2}, {piece(4, 188, true, false), 4},
		{piece(5, 188, false, true), 4}, {piece(6, 188, true, false), 4}, {piece(7, 188, false, false), 4}, {piece(8, 188, true, true), 8},
		{piece(9, 188, false, true), 8}, {piece(10, tsCache, false, false), 0}, {piece(11, 188, true, false), 11},
	} {
		if err := pub.WriteTS(c.p); err != nil {
			t.Fatal(err)
		}
		sub, err := h.SubscribeTS("a/b", SubscriberInfo{})
		if err != nil {
			t.Fatal(err)
		}
		if c.join == 0 {
			if sub.Ready() {
				t.Error("the cache has more than its bound")
			}
		} else if got := firstOf(t, sub); got != c.join {
			t.Errorf("after piece %d: joined at %d, want %d", c.p.Data[0], got, c.join)
		}
		sub.Close()
		if st := sub.Stats().Counts; st.Offered != st.Delivered+st.Dropped {
			t.Errorf("%+v", st)
		}
	}
}

// A reader that does not keep up is cut and counted, and delays nobody; the end is read by the others.
func TestTSSlowReaderIsCut(t *testing.T) {
	h := New(Config{Hold: 1})
	pub, _ := h.Publish("a/b", PublisherInfo{})
	_ = pub.WriteTS(piece(0, 188, true, true))
	slow, _ := h.SubscribeTS("a/b", SubscriberInfo{})
	fast, _ := h.SubscribeTS("a/b", SubscriberInfo{})
	firstOf(t, fast)
	for n := range 2 * tsQueue / 65536 {
		_ = pub.WriteTS(piece(byte(n), 65536, false, false))
		if got := firstOf(t, fast); got != byte(n) {
			t.Fatalf("piece %d is %d", n, got)
		}
	}
	if _, err := slow.Read(t.Context()); !errors.Is(err, ErrSlow) {
		t.Errorf("the slow one reads %v", err)
	}
	if st := slow.Stats(); st.Counts.Gaps != 1 || st.Counts.Offered != st.Counts.Delivered+st.Counts.Dropped+uint64(st.Queued) {
		t.Errorf("%+v", st)
	}
	if st := h.Streams()[0]; st.TS == nil || st.Counts.Slow != 1 || len(st.Subscribers) != 1 || st.TS.Cached > tsCache+65536 {
		t.Errorf("%+v", st)
	}
	pub.Close(nil)
	if _, err := fast.Read(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	fast.Close()
	if h.Len() != 0 {
		t.Error("a stream that nobody reads is left")
	}
}

// Readers stay while publishers come and go, until one comes that has frames and no transport stream.
func TestTSReadersStay(t *testing.T) {
	h := New(Config{})
	sub, _ := h.SubscribeTS("a/b", SubscriberInfo{Wait: true})
	for n := byte(1); n < 3; n++ {
		pub, _ := h.Publish("a/b", PublisherInfo{})
		_ = pub.WriteTS(piece(n, 188, true, true))
		if got := firstOf(t, sub); got != n {
			t.Errorf("read %d, want %d", got, n)
		}
		pub.Close(nil)
		if err := pub.WriteTS(piece(n, 188, true, true)); err == nil {
			t.Error("who has closed still writes")
		}
	}
	pub, _ := h.Publish("a/b", PublisherInfo{})
	for _, f := range (&source{}).frames() {
		_ = pub.WriteFrame(f)
	}
	if _, err := sub.Read(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("beside frames alone: %v", err)
	}
}
