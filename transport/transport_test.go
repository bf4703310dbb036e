package transport

import "testing"

func TestSumRule(t *testing.T) {
	sender := Stats{Sent: 10, FramesSent: 3}
	receiver := Stats{Sent: 8, Delivered: 4, Recovered: 2, RecoveredByResend: 1, RecoveredByRepair: 1, Late: 1, Lost: 1}
	s := Combine(sender, receiver)
	if err := s.Check(); err != nil {
		t.Errorf("got %v, want the rule to hold", err)
	}
	if s.InFlight != 2 {
		t.Errorf("in flight = %d, want 2", s.InFlight)
	}
	s.Lost++
	if s.Check() == nil {
		t.Error("one packet too many went unnoticed")
	}
	over := Combine(Stats{Sent: 3}, receiver)
	if over.Check() == nil {
		t.Error("a receiver that accounts for more than was sent went unnoticed")
	}
}

func TestNames(t *testing.T) {
	for r := range dropReasons {
		if r.String() == "" || r.String() == "unknown_reason" {
			t.Errorf("reason %d has no name", r)
		}
	}
	var d Drops
	d[DropLate], d[DropReplayed] = 2, 3
	if d.Total() != 5 {
		t.Errorf("total = %d, want 5", d.Total())
	}
	for _, c := range []Codec{H264, H265, AV1, AAC, Opus, MP3, Passthrough} {
		if c.String() == "none" {
			t.Errorf("codec %d has no name", c)
		}
	}
}
