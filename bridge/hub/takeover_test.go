package hub

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Who keeps a key, by policy, by who comes and by how long the first one has been silent.
func TestTakeover(t *testing.T) {
	for _, c := range []struct {
		why    string
		policy string
		silent time.Duration
		who    string
		want   error
	}{
		{"the first is heard of", "idle", time.Second, "a", ErrInUse},
		{"it is silent", "idle", 2 * time.Second, "b", nil},
		{"it is silent, but may be for longer", "idle:5s", 2 * time.Second, "b", ErrInUse},
		{"the same one comes again", "newest", 0, "a", nil},
		{"another one comes", "newest", time.Second, "b", ErrInUse},
		{"nobody knows who comes", "newest", time.Second, "", ErrInUse},
		{"another one, and the first is silent", "newest", 2 * time.Second, "b", nil},
		{"silence is no reason", "reject", time.Minute, "a", ErrInUse},
	} {
		synctest.Test(t, func(t *testing.T) {
			policy, err := ParseTakeover(c.policy)
			if err != nil {
				t.Fatal(err)
			}
			h := New(Config{Takeover: func(string) Takeover { return policy }})
			defer h.Close()
			first, err := h.Publish("live/a", PublisherInfo{Identity: "a", Peer: "first"})
			if err != nil {
				t.Fatal(err)
			}
			(&source{}).write(t, first, 1)
			time.Sleep(c.silent - frameTime)
			second, err := h.Publish("live/a", PublisherInfo{Identity: c.who})
			if !errors.Is(err, c.want) {
				t.Fatalf("%s: got %v, want %v", c.why, err, c.want)
			}
			st := h.Streams()[0].Counts
			if err != nil {
				if st.InUse != 1 || st.Takeovers != 0 {
					t.Errorf("%s: %+v", c.why, st)
				}
				return
			}
			if st.Takeovers != 1 || second.Replaced() == nil || second.Replaced().Peer != "first" {
				t.Errorf("%s: %+v, replaced %v", c.why, st, second.Replaced())
			}
			if <-first.Done(); !errors.Is(first.Err(), ErrReplaced) {
				t.Errorf("%s: the first reads %v", c.why, first.Err())
			}
		})
	}
}

// Two encoders with one key: each is told that it was replaced and comes back. The guard lets one of them have it.
func TestKickWar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{Takeover: func(string) Takeover { return Takeover{Policy: TakeNewest} }})
		defer h.Close()
		same := PublisherInfo{Identity: "a"}
		p, err := h.Publish("live/a", same)
		if err != nil {
			t.Fatal(err)
		}
		src := &source{}
		changes, refused := 0, 0
		for range 120 { // two minutes in which the one without the key tries each second
			src.write(t, p, 25)
			next, err := h.Publish("live/a", same)
			if err != nil {
				if !errors.Is(err, ErrKickWar) || !errors.Is(err, ErrInUse) {
					t.Fatal(err)
				}
				refused++
				continue
			}
			p = next
			changes++
		}
		if changes != warTakeovers || refused != 120-warTakeovers {
			t.Errorf("%d changes of the publisher and %d refusals in two minutes, want %d and the rest", changes, refused, warTakeovers)
		}
		for range int(warPeace / time.Second) { // it gives up; later its owner tries once more
			src.write(t, p, 25)
		}
		if _, err = h.Publish("live/a", same); err != nil {
			t.Errorf("after the war: %v", err)
		}
		time.Sleep(2 * time.Second) // silent: no war keeps anybody from that place
		if _, err = h.Publish("live/a", PublisherInfo{Identity: "b"}); err != nil {
			t.Error(err)
		}
	})
}

func TestParseTakeover(t *testing.T) {
	for s, want := range map[string]Takeover{
		"idle": {}, "newest": {Policy: TakeNewest}, "reject": {Policy: TakeNever}, "idle:5s": {Idle: 5 * time.Second}, "newest:500ms": {TakeNewest, 500 * time.Millisecond},
	} {
		if got, err := ParseTakeover(s); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "oldest", "idle:", "idle:5", "idle:-1s", "idle:1h", "reject:5s"} {
		if _, err := ParseTakeover(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}
