package congestion

import (
	"testing"
	"time"
)

// One budget: more loss means less video, never more in total; less capacity means less of both.
func TestSplitNeverExceedsTheTotal(t *testing.T) {
	for total := 100 * Kbps; total <= 20*Mbps; total = total * 5 / 4 {
		last := Budget{Video: 1 << 40}
		for loss := 0.0; loss < 0.5; loss += 0.05 {
			b := Split(total, Demand{Audio: 128 * Kbps, FEC: 1.2 * loss, Resend: loss}, 0)
			if b.Sum() > max(total, b.Audio) {
				t.Fatalf("%d split into %+v: sum %d", total, b, b.Sum())
			}
			if b.Video > last.Video {
				t.Fatalf("more loss, more video: %+v after %+v", b, last)
			}
			last = b
		}
	}
	big := Split(4*Mbps, Demand{Audio: 128 * Kbps, FEC: 0.2, Resend: 0.1}, 0)
	small := Split(2*Mbps, Demand{Audio: 128 * Kbps, FEC: 0.2, Resend: 0.1}, 0)
	if small.Video >= big.Video || small.FEC >= big.FEC {
		t.Errorf("half the total: %+v after %+v; want less of both", small, big)
	}
	if got := Split(4*Mbps, Demand{}, Mbps); got.Video != Mbps || got.Padding != 3*Mbps {
		t.Errorf("an encoder that can use 1 Mbit/s of 4: %+v", got)
	}
	if got := Split(4*Mbps, Demand{Backlog: 125_000}, 0); got.Video != 3*Mbps {
		t.Errorf("1 Mbit waits: %+v, want 3 Mbit/s of new video", got)
	}
}

func TestAdviceGoesDownAtOnceAndUpSlowly(t *testing.T) {
	var a Advice
	for _, step := range []struct {
		why  string
		at   time.Duration
		want Bitrate
		told Bitrate
		say  bool
	}{
		{"the first is said", 0, 1000, 1000, true},
		{"nothing new", 20 * ms, 1010, 1000, false},
		{"down at once", 40 * ms, 900, 900, true},
		{"0.5 % down is noise", 60 * ms, 896, 900, false},
		{"up, but too soon", 100 * ms, 1000, 900, false},
		{"every 200 ms it is repeated", 240 * ms, 1000, 900, true},
		{"up after 500 ms", 510 * ms, 1000, 1000, true},
		{"4 % up is not enough", 1200 * ms, 1040, 1000, true},
		{"6 % is", 1220 * ms, 1060, 1060, true},
	} {
		if told, say := a.Update(step.at, step.want); told != step.told || say != step.say {
			t.Errorf("%s: Update(%v, %d) = %d, %v, want %d, %v", step.why, step.at, step.want, told, say, step.told, step.say)
		}
	}
	if got := a.NextTimeout(); got != 1420*ms {
		t.Errorf("to be repeated at %v, want 1.42s", got)
	}
}

func TestPacerSpreads(t *testing.T) {
	var p Pacer
	p.Sent(time.Second, 1000, 8*Mbps)
	if got := p.Next(); got != time.Second-paceBurst+ms {
		t.Errorf("after a pause the next may leave at %v", got)
	}
	for range 10 {
		p.Sent(time.Second, 1000, 8*Mbps)
	}
	if got := p.Next(); got != time.Second-paceBurst+11*ms {
		t.Errorf("after eleven packets of 1 ms the next leaves at %v", got)
	}
}

func TestReasonNames(t *testing.T) {
	for r, want := range map[Reason]string{Startup: "startup", Compete: "compete", Limited: "limited", 99: "unknown"} {
		if r.String() != want {
			t.Errorf("%d = %q, want %q", r, r, want)
		}
	}
}

// What waits takes half of the video's share, or what the demand allows it.
func TestBacklogTakesItsShare(t *testing.T) {
	for most, want := range map[float64]Bitrate{0: 500_000, 0.9: 100_000, 7: 500_000} {
		b := Split(Mbps, Demand{Backlog: 1 << 20, Most: most}, 0)
		if got := b.Video; got < want-1 || got > want+1 || b.Sum() != Mbps {
			t.Errorf("at most %g: video %d of %d, want %d", most, got, b.Sum(), want)
		}
	}
}
