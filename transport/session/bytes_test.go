package session

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
)

var bytesSeconds = flag.Int("bytes", 0, "print where the bytes on the wire go, over so many seconds of media of a seed (-first, -seeds)")

// account splits what a session puts on the wire, in bytes.
type account struct {
	media                                        int // as the application wrote it
	sources, sourceN                             int // first sendings, IP, UDP, SRTP and frame headers included
	resends, resendN, repairs, repairN, other    int
	reports, reportN                             int
	lost, useless, late, frames, framesLost, gap int
}

func (a *account) String() string {
	pc := func(n int) float64 { return 100 * float64(n) / float64(a.media) }
	needed := float64(a.sources) * a.p() / (1 - a.p())
	return fmt.Sprintf("headers %5.2f  p/(1-p) %5.2f  resends %5.2f repairs %5.2f other %5.2f  beyond %5.2f (useless %5.2f)  reports %5.2f (%3.0f/s of %3.0f B)  all %.4f",
		pc(a.sources-a.media), 100*needed/float64(a.media), pc(a.resends), pc(a.repairs), pc(a.other), pc(a.resends+a.repairs+a.other)-100*needed/float64(a.media), pc(a.useless), pc(a.reports),
		float64(a.reportN)/float64(a.frames)*30, float64(a.reports)/float64(max(1, a.reportN)), 1+pc(a.sources-a.media+a.resends+a.repairs+a.other+a.reports)/100)
}

func (a *account) p() float64 { return float64(a.lost) / float64(a.sourceN+a.resendN+a.repairN+a.gap) }

// Where the bytes go: what media, headers, repair and reports take of the wire.
func TestBytes(t *testing.T) {
	if *bytesSeconds == 0 {
		t.Log("run with -bytes 20")
		return
	}
	*gridAll = true
	for _, mtu := range []int{maxMTU} {
		for _, latency := range []time.Duration{150, 190, 300} {
			for _, p := range []float64{0, 0.1, 0.2} {
				var a account
				for seed := *gridFirst; seed < *gridFirst+uint64(*gridSeeds); seed++ {
					a.run(t, seed, p, latency*time.Millisecond, mtu)
				}
				t.Logf("%d %3d ms %3.0f %%: %v lost %.1e", mtu, latency, 100*p, &a, float64(a.framesLost)/float64(a.frames))
			}
		}
	}
}

func (a *account) run(t *testing.T, seed uint64, p float64, latency time.Duration, mtu int) {
	cfg, up, down := grid(60*time.Millisecond, latency, p, 0, seed)
	up.rate, down.rate = 1000*congestion.Mbps, 1000*congestion.Mbps // as the link of the promise: nothing but delay and loss
	cfg.MTU, cfg.MaxBitrate = mtu, 0
	cfg.Controller = congestion.New(congestion.Config{Max: 30 * congestion.Mbps}) // as a publisher has it
	w := newWorld(t, seed, cfg, up, down, video4M())
	w.run(warmUp, true)
	tx0, rx0, gone0, sent0, f0, wire0, back0 := w.tx.Stats(), w.rx.Stats(), up.loss.gone, up.loss.sent, w.frames, w.wire, w.back
	media0, kinds0 := w.media, w.kinds
	w.run(time.Duration(*bytesSeconds)*time.Second, true)
	w.run(latency+time.Second, false)
	w.sum()
	tx, rx := w.tx.Stats(), w.rx.Stats()
	a.media += w.media - media0
	src := int(tx.SourceBytes - tx0.SourceBytes)
	n := int(tx.Sent - tx0.Sent)
	a.sources += src + ipUDP*n
	a.sourceN += n
	a.resendN += int(tx.Resends - tx0.Resends)
	a.repairN += int(tx.Repairs - tx0.Repairs)
	resends, repairs := w.kinds[0]-kinds0[0], w.kinds[1]-kinds0[1]
	a.resends += resends
	a.repairs += repairs
	a.other += w.wire - wire0 - src - ipUDP*n - resends - repairs
	a.reports += w.back - back0
	a.reportN += int(rx.Feedback - rx0.Feedback)
	a.lost += up.loss.gone - gone0
	a.gap += up.loss.sent - sent0 - n - int(tx.Resends-tx0.Resends) - int(tx.Repairs-tx0.Repairs)
	a.frames += int(w.frames - f0)
	a.framesLost += int(rx.FramesLost - rx0.FramesLost)
	a.useless += int(rx.Drops[transport.DropDuplicate]-rx0.Drops[transport.DropDuplicate]) * 1200
	a.late += int(rx.Drops[transport.DropLate]-rx0.Drops[transport.DropLate]) * 1200
}
