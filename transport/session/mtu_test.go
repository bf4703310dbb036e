package session

import (
	"testing"

	"github.com/fairlead-live/fairlead/transport/arq"
)

func TestBlackHole(t *testing.T) {
	const (
		long  = 1400
		short = 400
	)
	type event struct {
		size int
		what arq.Outcome
	}
	repeat := func(n int, e ...event) (out []event) {
		for range n {
			out = append(out, e...)
		}
		return out
	}
	for _, c := range []struct {
		why    string
		events []event
		want   bool
	}{
		{"long ones vanish, short ones arrive", repeat(10, event{long, arq.Lost}, event{short, arq.Acked}), true},
		{"an outage takes both", repeat(100, event{long, arq.Lost}, event{short, arq.Lost}), false},
		{"and is over", append(repeat(100, event{long, arq.Lost}), repeat(20, event{short, arq.Acked})...), false},
		{"a long one came through", append(repeat(9, event{long, arq.Lost}, event{short, arq.Acked}), event{long, arq.Late}, event{long, arq.Lost}), false},
		{"only short ones", repeat(100, event{short, arq.Lost}, event{short, arq.Acked}), false},
	} {
		var s Sender
		for _, e := range c.events {
			s.hole.note(&arq.Event{Size: e.size, Outcome: e.what})
		}
		if got := s.BlackHole(); got != c.want {
			t.Errorf("%s: %v, want %v", c.why, got, c.want)
		}
		if s.BlackHole() {
			t.Errorf("%s: said twice", c.why)
		}
	}
}
