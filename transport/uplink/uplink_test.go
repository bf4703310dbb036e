package uplink

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/quiclink"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// gomobile binds signed integers, floats, booleans, strings, byte slices, errors, and pointers to structs and interfaces of the
// package itself; functions with at most two results, of which the second is an error (gobind's documentation).
func bindable(t types.Type, pkg *types.Package) bool {
	switch t := t.(type) {
	case *types.Basic:
		switch t.Kind() {
		case types.Bool, types.Int, types.Int8, types.Int16, types.Int32, types.Int64, types.Float32, types.Float64, types.String,
			types.UntypedInt:
			return true
		}
	case *types.Slice:
		return types.Identical(t.Elem(), types.Typ[types.Byte])
	case *types.Pointer:
		n, ok := t.Elem().(*types.Named)
		_, isStruct := t.Elem().Underlying().(*types.Struct)
		return ok && isStruct && n.Obj().Pkg() == pkg
	case *types.Named:
		if t.Obj().Name() == "error" && t.Obj().Pkg() == nil {
			return true
		}
		_, isInterface := t.Underlying().(*types.Interface)
		return isInterface && t.Obj().Pkg() == pkg
	}
	return false
}

func bindableSignature(s *types.Signature, pkg *types.Package) bool {
	for v := range s.Params().Variables() {
		if !bindable(v.Type(), pkg) {
			return false
		}
	}
	if s.Results().Len() > 2 || s.Results().Len() == 2 && s.Results().At(1).Type().String() != "error" {
		return false
	}
	for v := range s.Results().Variables() {
		if !bindable(v.Type(), pkg) {
			return false
		}
	}
	return !s.Variadic()
}

// nothing imports packages without what is in them.
type nothing struct{}

func (nothing) Import(name string) (*types.Package, error) {
	p := types.NewPackage(name, path.Base(name))
	p.MarkComplete()
	return p, nil
}

func TestEverythingExportedCanBeBoundByGomobile(t *testing.T) {
	fset := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	// Imports are not read: a type of another package is invalid here, and so cannot be bound.
	cfg := types.Config{Importer: nothing{}, IgnoreFuncBodies: true, Error: func(error) {}}
	pkg, _ := cfg.Check("uplink", fset, files, nil)
	seen := 0
	for _, name := range pkg.Scope().Names() {
		obj := pkg.Scope().Lookup(name)
		if !obj.Exported() {
			continue
		}
		seen++
		switch o := obj.(type) {
		case *types.Func:
			if !bindableSignature(o.Signature(), pkg) {
				t.Errorf("func %s: %s cannot be bound", name, o.Signature())
			}
		case *types.Const, *types.Var:
			if !bindable(obj.Type(), pkg) {
				t.Errorf("%s: %s cannot be bound", name, obj.Type())
			}
		case *types.TypeName:
			named := o.Type().(*types.Named)
			for m := range named.Methods() {
				if m.Exported() && !bindableSignature(m.Signature(), pkg) {
					t.Errorf("%s.%s: %s cannot be bound", name, m.Name(), m.Signature())
				}
			}
			switch u := named.Underlying().(type) {
			case *types.Struct:
				for f := range u.Fields() {
					if f.Exported() && !bindable(f.Type(), pkg) {
						t.Errorf("%s.%s: %s cannot be bound", name, f.Name(), f.Type())
					}
				}
			case *types.Interface:
				for m := range u.Methods() {
					if !bindableSignature(m.Signature(), pkg) {
						t.Errorf("%s.%s: %s cannot be bound", name, m.Name(), m.Signature())
					}
				}
			default:
				t.Errorf("type %s: %s cannot be bound", name, u)
			}
		}
	}
	if seen < 15 {
		t.Errorf("only %d exported names were looked at", seen)
	}
}

// sink keeps what a session delivers.
type sink struct {
	mu     sync.Mutex
	tracks []wire.Track
	got    []transport.Payload
	ended  chan struct{}
}

func (s *sink) Tracks(t []wire.Track) { s.mu.Lock(); defer s.mu.Unlock(); s.tracks = t }

func (s *sink) Payload(p *transport.Payload) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := *p
	q.Data = append([]byte(nil), p.Data...)
	s.got = append(s.got, q)
	return nil
}

func (s *sink) Done() <-chan struct{} { return nil }
func (s *sink) Close(quiclink.End)    { close(s.ended) }

type recorder struct {
	mu     sync.Mutex
	states []int
	told   []string // reasons of targets
}

func (r *recorder) OnTargetBitrate(rate int64, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rate > 0 {
		r.told = append(r.told, reason)
	}
}
func (r *recorder) OnKeyFrameRequest(int) {}
func (r *recorder) OnState(state int, _ string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states = append(r.states, state)
}

// The program in docs/uplink.md is the example, which compiles.
func TestDocsHaveTheExample(t *testing.T) {
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "uplink.md"))
	if err != nil {
		t.Fatal(err)
	}
	program := strings.NewReplacer("package uplink_test", "package main", "func Example()", "func main()").Replace(string(example))
	if !strings.Contains(string(page), "```go\n"+program+"```\n") {
		t.Errorf("docs/uplink.md does not have the program of example_test.go:\n%s", program)
	}
}

// A relay that is not there is said to be so in the time that was given.
func TestDialEnds(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0") // takes everything, answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, err = Dial("fairlead://"+silent.LocalAddr().String()+"/live/cam", &Options{ConnectTimeoutMS: 100})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 100ms") {
		t.Errorf("Dial = %v", err)
	}
}

func TestFramesArriveAsWritten(t *testing.T) {
	s := &sink{ended: make(chan struct{})}
	l, err := quiclink.Listen(quiclink.Config{Addr: "127.0.0.1:0", Admit: func(r quiclink.Request) (quiclink.Sink, error) {
		if r.Agent != "app 1.0" || r.Name != "live/phone" {
			return nil, errors.New("who is that?")
		}
		return s, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Serve(ctx); err != nil {
			t.Error(err)
		}
	})
	defer wg.Wait()
	defer cancel()
	pin, _ := l.Pin()
	rec := &recorder{}
	url := "fairlead://" + l.Addr().String() + "/live/phone?latency=2s&pin=" + pin
	if _, err := Dial(url, &Options{Agent: "other"}); err == nil {
		t.Error("an unwanted app is let in")
	}
	u, err := Dial(url, &Options{Agent: "app 1.0", Events: rec})
	if err != nil {
		t.Fatal(err)
	}
	video, err := u.AddVideo(H264, 640, 360, []byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	audio, err := u.AddAudio(AAC, 48000, 2, []byte{0x11, 0x90})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		u.WriteFrame(video, 40_000, 20_000, FlagKey, []byte("key")),
		u.WriteFrame(audio, 20_000, 20_000, FlagKey, []byte("sound")),
		u.WriteFrame(video, 60_000, 60_000, FlagDroppable, []byte("picture")),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if err := u.WriteFrame(2, 0, 0, 0, nil); !errors.Is(err, ErrTrack) {
		t.Errorf("track 2: %v, want %v", err, ErrTrack)
	}
	if _, err := u.AddVideo(AAC, 0, 0, nil); err == nil {
		t.Error("AAC is no video")
	}
	if !testing.Short() { // it takes a second: a target is repeated five times in one
		need.Until(t, "the encoder has been told six times, and why", func() bool {
			rec.mu.Lock()
			defer rec.mu.Unlock()
			return len(rec.told) >= 6 && rec.told[5] != ""
		})
	}
	if err := u.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	select {
	case <-s.ended:
	case <-time.After(need.Patience):
		t.Fatal("the session does not end")
	}
	want := []struct {
		track    uint8
		flags    transport.Flags
		pts, dts time.Duration
		data     string
	}{
		{0, transport.Key | transport.Config, 40 * time.Millisecond, 20 * time.Millisecond, "\x01\x02\x03"},
		{0, transport.Key, 40 * time.Millisecond, 20 * time.Millisecond, "key"},
		{1, transport.Config, 20 * time.Millisecond, 20 * time.Millisecond, "\x11\x90"},
		{1, 0, 20 * time.Millisecond, 20 * time.Millisecond, "sound"},
		{0, transport.Droppable, 60 * time.Millisecond, 60 * time.Millisecond, "picture"},
	}
	if len(s.got) != len(want) || len(s.tracks) != 2 {
		t.Fatalf("%d frames and %d tracks, want %d and 2: %+v", len(s.got), len(s.tracks), len(want), s.got)
	}
	for i, w := range want {
		if g := s.got[i]; g.Track != w.track || g.Flags != w.flags || g.PTS != w.pts || g.DTS != w.dts || string(g.Data) != w.data {
			t.Errorf("frame %d: got %+v, want %+v", i, g, w)
		}
	}
	if st := u.Stats(); st.State != StateClosed || st.FramesSent != 5 || st.FramesDelivered != 5 {
		t.Errorf("statistics: %+v", st)
	}
	if err := u.WriteFrame(video, 0, 0, 0, []byte("x")); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if len(rec.states) != 2 || rec.states[0] != StateConnected || rec.states[1] != StateClosed {
		t.Errorf("states %v", rec.states)
	}
}
