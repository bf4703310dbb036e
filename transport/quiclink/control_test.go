package quiclink

import (
	"bytes"
	"log/slog"
	"reflect"
	"testing"
	"testing/iotest"
	"time"

	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/session"
	"github.com/fairlead-live/fairlead/transport/srtp"
	"github.com/fairlead-live/fairlead/transport/wire"
)

func TestControlReaderTakesMessagesInAnyPieces(t *testing.T) {
	stream := wire.AppendBye(wire.AppendStats(wire.AppendKeyframe(nil, 3), make([]uint64, 40)), &wire.Bye{Reason: "x"})
	for name, r := range map[string]*controlReader{
		"whole":  {r: bytes.NewReader(stream)},
		"bytes":  {r: iotest.OneByteReader(bytes.NewReader(stream))},
		"halves": {r: iotest.HalfReader(bytes.NewReader(stream))},
	} {
		var got []wire.Control
		for {
			m, err := r.next()
			if err != nil {
				break
			}
			got = append(got, m.kind)
		}
		if want := []wire.Control{wire.ControlKeyframe, wire.ControlStats, wire.ControlBye}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestCountersRoundTrip(t *testing.T) {
	want := transport.Stats{Sent: 1, Delivered: 2, Recovered: 9, Late: 4, Lost: 5, FramesSent: 6, FramesDelivered: 7, FramesLost: 8,
		BytesSent: 9, BytesReceived: 10, Repairs: 11, RecoveredByRepair: 3, RecoveredByResend: 6}
	v := counters(nil, &want)
	if len(v) != len(wire.StatsFields) {
		t.Errorf("%d counters, the message has %d", len(v), len(wire.StatsFields))
	}
	if got := fromCounters(v); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := fromCounters(v[:3]); got.Sent != 1 || got.Late != 0 {
		t.Errorf("an older peer's: %+v", got)
	}
	if got := fromCounters(append(v, 99)); got != want {
		t.Errorf("a newer peer's: %+v", got)
	}
}

// Whatever comes over the control stream, both sides read on or end with an error.
func FuzzControlStream(f *testing.F) {
	f.Add(wire.AppendHello(nil, &wire.Hello{Version: 1, Oldest: 1, Name: "a/b"}))
	f.Add(wire.AppendTracks(wire.AppendStats(nil, []uint64{1, 2, 3}), []wire.Track{{ID: 1, Codec: 1, Config: []byte{1}}}))
	f.Add(wire.AppendBye(wire.AppendTarget(nil, &wire.Target{Bitrate: 1}), &wire.Bye{Code: 3}))
	f.Add(wire.AppendRekey(wire.AppendRekey(nil, 1), 2))
	f.Add(wire.AppendPath(wire.AppendDrain(nil, &wire.Drain{Left: 1, URL: "fairlead://x/a/b"}), &wire.Path{Tag: 3}))
	f.Add([]byte{1, 255, 255, 255})
	keys := func(uint32) (a, b srtp.Keys, err error) { return a, b, nil }
	rx, err := session.NewReceiver(time.Now(), session.Config{})
	if err != nil {
		f.Fatal(err)
	}
	tx, err := session.NewSender(time.Now(), session.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		relay := receiving{link: newLink(nil, nil, nil), kept: kept{sink: &discard{}, rx: rx}}
		publisher := sending{link: newLink(nil, nil, nil), lasting: lasting{tx: tx}, client: &Client{cfg: DialConfig{Logger: slog.New(slog.DiscardHandler)}}, drained: true}
		for _, l := range []*link{&relay.link, &publisher.link} {
			if l.keys, err = newKeyring(time.Now(), keys); err != nil {
				t.Fatal(err)
			}
		}
		for _, handle := range []func(message) error{
			relay.handleControl,
			func(m message) error { return publisher.handleControl(t.Context(), m, nil) },
		} {
			r := controlReader{r: bytes.NewReader(b)}
			for {
				m, err := r.next()
				if err != nil || handle(m) != nil {
					break
				}
			}
		}
	})
}

// What several connections came to is the sum of every counter there is.
func TestSumForgetsNoCounter(t *testing.T) {
	var one transport.Stats
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for _, field := range v.Fields() {
				fill(field)
			}
		case reflect.Array:
			for i := range v.Len() {
				fill(v.Index(i))
			}
		default:
			v.SetUint(1)
		}
	}
	fill(reflect.ValueOf(&one).Elem())
	if got := sum(transport.Stats{}, one); got != one {
		t.Errorf("the sum of nothing and one is %+v", got)
	}
}
