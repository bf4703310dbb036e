package uplink

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/emu"
	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/transport/quiclink"
)

// tcp is an app's own client, as far as the uplink knows it.
type tcp struct {
	mu     sync.Mutex // guards what follows
	why    []string
	open   bool
	closed int
	frames []uint32
}

func (f *tcp) Open(reason string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.why = append(f.why, reason); len(f.why) == 1 && reason == "" {
		return errors.New("no reason")
	}
	f.open = true
	return nil
}

func (f *tcp) WriteFrame(_ int, _, _ int64, _ int, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frames = append(f.frames, binary.BigEndian.Uint32(data))
	return nil
}

func (f *tcp) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = false
	f.closed++
}

// UDP stops passing in the middle of a stream: frames go to the app's own client, with the reason, and to the relay again when
// UDP passes.
func TestFallbackAndReturn(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	var mu sync.Mutex // guards last
	var last *sink
	l, err := quiclink.Listen(quiclink.Config{Addr: "127.0.0.1:0", Admit: func(quiclink.Request) (quiclink.Sink, error) {
		mu.Lock()
		defer mu.Unlock()
		last = &sink{ended: make(chan struct{})}
		return last, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.Serve(ctx) })
	defer wg.Wait()
	defer cancel()
	link := netem.Config{Schedule: []netem.Step{{At: 2 * time.Second, Kind: netem.StepOutage, For: 2500 * time.Millisecond}}}
	proxy, err := emu.NewUDPProxy(netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort(l.Addr().String()), emu.Config{Up: link, Down: link, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	pin, _ := l.Pin()
	rec, over := &recorder{}, &tcp{}
	u, err := Dial("fairlead://"+proxy.Addr().String()+"/live/phone?latency=2s&pin="+pin, &Options{
		Events: rec, Fallback: over, ConnectTimeoutMS: 1000, patience: time.Second, probeEvery: 300 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	video, err := u.AddVideo(H264, 640, 360, nil)
	if err != nil {
		t.Fatal(err)
	}
	begin, n := time.Now(), 0
	const every = 10 * time.Millisecond
	write := func() {
		time.Sleep(time.Until(begin.Add(time.Duration(n) * every)))
		_ = u.WriteFrame(video, int64(n)*10_000, int64(n)*10_000, FlagKey, binary.BigEndian.AppendUint32(nil, uint32(n)))
		n++
	}
	for back := 0; back < 100; { // until it has been back for a second, however long it takes
		if write(); time.Since(begin) > need.Patience {
			t.Fatalf("it does not come back: %+v", u.Stats())
		}
		over.mu.Lock()
		was := over.closed > 0
		over.mu.Unlock()
		if back++; !was || u.Stats().State != StateConnected {
			back = 0
		}
	}
	if err := u.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	cancel()
	wg.Wait()
	// A machine that stands still for a second makes it go there and back once more.
	if len(over.why) == 0 || over.closed != len(over.why) || len(over.frames) == 0 {
		t.Fatalf("the fallback was opened for %q, closed %d times, took %d frames", over.why, over.closed, len(over.frames))
	}
	if k := len(last.got); k == 0 || binary.BigEndian.Uint32(last.got[k-1].Data) != uint32(n-1) {
		t.Errorf("%d frames after UDP came back", k)
	}
	if !slices.IsSorted(over.frames) {
		t.Errorf("the fallback has frames %v", over.frames)
	}
	if n := len(rec.states); n < 4 || !slices.Equal(rec.states[:3], []int{StateConnected, StateFallback, StateConnected}) || rec.states[n-1] != StateClosed {
		t.Errorf("states %v", rec.states)
	}
	if st := u.Stats(); st.State != StateClosed || st.Reconnects == 0 || st.FramesSent == 0 {
		t.Errorf("%+v", st)
	}
}

// No UDP from the beginning: Dial succeeds all the same.
func TestFallbackFromTheBeginning(t *testing.T) {
	over := &tcp{}
	u, err := Dial("fairlead://127.0.0.1:9/live/phone", &Options{Fallback: over, ConnectTimeoutMS: 100})
	if err != nil {
		t.Fatal(err)
	}
	video, err := u.AddVideo(H264, 640, 360, nil)
	if err != nil {
		t.Fatal(err)
	}
	need.Until(t, "the fallback", func() bool { return u.Stats().State == StateFallback })
	if err := u.WriteFrame(video, 0, 0, 0, make([]byte, 4)); err != nil || len(over.frames) != 1 {
		t.Errorf("WriteFrame = %v, %d frames", err, len(over.frames))
	}
	if err := u.Close(); err != nil || over.open {
		t.Errorf("Close = %v, the fallback open: %v", err, over.open)
	}
	if st := u.Stats(); st.State != StateClosed {
		t.Errorf("%+v", st)
	}
}
