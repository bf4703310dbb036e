package session

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/srtp"
	"github.com/fairlead-live/fairlead/transport/wire"
)

func sealerOf(t testing.TB, n byte) *srtp.Sealer {
	s, err := srtp.NewSealer(masterKeys(n))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Reports that were changed, cut, sealed by a stranger, not sealed at all or seen before: each is counted under its reason, and
// the sender does to the byte what it does without them.
func TestForgedReportsTeachNothing(t *testing.T) {
	var stats [2]transport.Stats
	var junk uint64
	for attacked := range 2 {
		cfg, up, down := grid(60*time.Millisecond, 300*time.Millisecond, 0.05, 0, 301)
		w := newWorld(t, 301, cfg, up, down, video4M())
		w.noPlans = true
		if attacked == 1 {
			rng := rand.New(rand.NewPCG(301, 1))
			relay, stranger := sealerOf(t, 2), sealerOf(t, 9)
			again, _ := relay.SealRTCP(wire.AppendFeedback(nil, 0, 0, 0, make([]wire.Metric, 60), 1), 0) // index 0, which the honest relay has used
			w.onReport = func() {
				lie := wire.AppendFeedback(nil, 0, 0, uint16(w.tx.tracker.Next()-60), make([]wire.Metric, 60), rng.Uint32())
				var b []byte
				switch rng.IntN(5) {
				case 0:
					b, _ = relay.SealRTCP(lie, 0)
					b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
				case 1:
					b, _ = relay.SealRTCP(lie, 0)
					b = b[:rng.IntN(len(b))]
				case 2:
					b, _ = stranger.SealRTCP(lie, 0)
				case 3:
					b = lie
				case 4:
					b = again
				}
				junk++
				w.tx.HandleDatagram(w.at(), b)
			}
		}
		w.run(5*time.Second, true)
		w.run(time.Second, false)
		stats[attacked] = w.sum()
		if tx := w.tx.Stats(); attacked == 1 && tx.Drops.Total() != junk {
			t.Errorf("%d drops counted of %d: %v", tx.Drops.Total(), junk, tx.Drops)
		}
		stats[attacked].Drops, stats[attacked].BytesReceived, stats[attacked].Feedback = transport.Drops{}, 0, 0
	}
	if junk < 100 || stats[0] != stats[1] {
		t.Errorf("%d forged reports changed something:\n%+v\n%+v", junk, stats[0], stats[1])
	}
}

// A relay with valid keys whose every report is a lie: the sender holds what it may hold, sends no more than its controller lets
// it, and its sums stay sums.
func TestALyingRelayIsBounded(t *testing.T) {
	lies := map[string]func(rng *rand.Rand, m []wire.Metric){
		"nothing arrives":    func(_ *rand.Rand, m []wire.Metric) { clear(m) },
		"everything arrives": func(_ *rand.Rand, m []wire.Metric) { fill(m, wire.NewMetric(0, 0)) },
		"every second one":   func(_ *rand.Rand, m []wire.Metric) { alternate(m) },
		"no repair is of use": func(_ *rand.Rand, m []wire.Metric) {
			alternate(m)
			for i := 1; i < len(m); i += 2 {
				m[i] = wire.NewUnused(0)
			}
		},
		"noise": func(rng *rand.Rand, m []wire.Metric) {
			for i := range m {
				m[i] = wire.Metric(rng.Uint32())
			}
		},
	}
	length := 20 * time.Second
	if testing.Short() {
		length = 3 * time.Second
	}
	const rate = 12 * congestion.Mbps
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			before := heapBytes()
			cfg := Config{Latency: 300 * time.Millisecond, MaxBitrate: 8 * congestion.Mbps, Controller: &congestion.Fixed{Rate: rate}}
			w := newWorld(t, 302, cfg, nil, nil, video4M())
			rng, relay := rand.New(rand.NewPCG(302, 1)), sealerOf(t, 2)
			metrics, out := make([]wire.Metric, 400), make([]byte, 0, 2048)
			report := make([]byte, 0, 2048)
			sent := 0
			for frames := 0; w.now < length; w.now += time.Millisecond {
				if w.frameTime(int64(frames)) <= w.now {
					size, key := w.source.size(rng, int64(frames))
					f := transport.Frame{Codec: transport.H264, DTS: w.now, PTS: w.now, Data: w.source.data[:size]}
					if key {
						f.Flags = transport.Key
					}
					_ = w.tx.WriteFrame(w.at(), &f) // refused where the lies leave no room
					frames++
				}
				if w.now%(5*time.Millisecond) == 0 {
					m := metrics[:rng.IntN(len(metrics))]
					lie(rng, m)
					report = wire.AppendFeedback(report[:0], 0, 0, uint16(w.tx.tracker.Next()-int64(len(m))+int64(rng.IntN(4)/3)), m, uint32(w.now*65536/time.Second))
					b, err := relay.SealRTCP(report, 0)
					if err != nil {
						t.Fatal(err)
					}
					w.tx.HandleDatagram(w.at(), b)
				}
				for range 200 {
					b, ok := w.tx.AppendDatagram(out[:0], w.at())
					if !ok {
						break
					}
					sent += len(b) + 28
				}
				if w.tx.tracker.BytesInFlight() < 0 || w.tx.tracker.PacketsInFlight() < 0 {
					t.Fatalf("%d bytes in %d packets in flight", w.tx.tracker.BytesInFlight(), w.tx.tracker.PacketsInFlight())
				}
			}
			used := int(heapBytes()-before) - cap(w.source.data)
			bound := 512<<10 + w.tx.cfg.packets()*1500 + 512<<10 // the send buffer; the last is the runtime's and the plan's
			most := rate.Bytes(length) * 11 / 10
			t.Logf("%d KiB used, bound %d KiB; %d kB sent, at most %d; drops %v", used>>10, bound>>10, sent/1000, most/1000, w.tx.Stats().Drops)
			if used > bound || sent > most {
				t.Errorf("%d KiB used, want at most %d; %d bytes sent, want at most %d", used>>10, bound>>10, sent, most)
			}
			runtime.KeepAlive(w)
		})
	}
}

func fill(m []wire.Metric, v wire.Metric) {
	for i := range m {
		m[i] = v
	}
}

// alternate says that every second packet arrived.
func alternate(m []wire.Metric) {
	clear(m)
	for i := 1; i < len(m); i += 2 {
		m[i] = wire.NewMetric(0, 0)
	}
}
