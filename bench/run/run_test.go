package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bench/netem"
	"github.com/fairlead-live/fairlead/bench/report"
)

// clip returns the transport stream that tests share, made once.
var clip = sync.OnceValues(func() (string, error) {
	return MakeClip(context.Background(), 4*time.Second, 1_000_000)
})

func testClip(t testing.TB, d time.Duration) *Clip {
	t.Helper()
	need.Program(t, "ffmpeg")
	path, err := clip()
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadClip(path, d)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// root skips where links cannot be made, and gives the test a temporary folder of its own.
func root(t *testing.T) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir()) // nothingLeft looks there
	if os.Geteuid() != 0 {
		need.Missing(t, "namespace links need root")
	}
	need.RealTime(t)
}

func TestClipKnowsItsFrames(t *testing.T) {
	c := testClip(t, 2*time.Second)
	if len(c.Frames) != 60 || !c.Frames[0].Key || c.Frames[1].Key || c.Frames[0].Capture != 0 {
		t.Fatalf("%d frames, first %+v", len(c.Frames), c.Frames[0])
	}
	if d := c.Duration() - 2*time.Second; d < -time.Millisecond || d > time.Millisecond {
		t.Errorf("Duration = %v, want 2s", c.Duration())
	}
	if n := c.soundUpTo(time.Second); n < 45 || n > 49 { // 48000/1024
		t.Errorf("%d audio frames in the first second, want about 47", n)
	}
	for _, f := range c.media {
		if f.frame.Codec.IsVideo() && c.Find(f.frame) < 0 {
			t.Fatal("a picture of the clip is not found in it")
		}
		damaged := *f.frame
		damaged.Payload = bytes.Clone(f.frame.Payload)
		damaged.Payload[len(damaged.Payload)-1] ^= 1
		if damaged.Codec.IsVideo() && c.Find(&damaged) >= 0 {
			t.Fatal("a damaged picture is taken for a whole one")
		}
	}
	last := time.Duration(-1)
	var all []byte
	for _, p := range c.pieces {
		if p.at <= last {
			t.Fatalf("piece at %v behind %v", p.at, last)
		}
		last, all = p.at, append(all, p.data...)
	}
	path, _ := clip()
	if b, _ := os.ReadFile(path); !bytes.HasPrefix(b, all) {
		t.Error("the pieces are not the clip's bytes")
	}
}

func TestClipRefuses(t *testing.T) {
	null := append([]byte{0x47, 0x1f, 0xff, 0x10}, make([]byte, 184)...)
	for why, b := range map[string][]byte{
		"empty":           nil,
		"half a packet":   null[:100],
		"no sync byte":    make([]byte, 188),
		"nothing inside":  null,
		"garbage at last": append(bytes.Clone(null), make([]byte, 188)...),
	} {
		if _, err := NewClip(b, 0); !errors.Is(err, ErrClip) {
			t.Errorf("%s: %v, want ErrClip", why, err)
		}
	}
}

func FuzzClip(f *testing.F) {
	null := append([]byte{0x47, 0x1f, 0xff, 0x10}, make([]byte, 184)...)
	f.Add(null)
	pes := append([]byte{0x47, 0x41, 0x00, 0x30, 1, 0, 0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10, 0x31, 0, 1, 0, 1, 0x11, 0, 1, 0, 1}, make([]byte, 163)...)
	f.Add(append(pes, null...))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := NewClip(b, 0)
		if err == nil && len(c.Frames) == 0 {
			t.Error("a clip without frames")
		}
	})
}

func TestShippedSchemes(t *testing.T) {
	all, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
		if s.Group == "" || s.Title == "" {
			t.Errorf("%s: no group or title", s.Name)
		}
	}
	for _, want := range []string{"rtmp-cubic", "rtmp-bbr", "srt", "srt-fec", "rist"} {
		if !slices.Contains(names, want) {
			t.Errorf("no scheme %s in %v", want, names)
		}
	}
	some, err := Choose([]string{"rist", "rtmp", "rist", "srt"}) // srt alone, not its group
	if err != nil || len(some) != 4 || some[0].Name != "rist" || some[3].Name != "srt" {
		t.Errorf("Choose: %d schemes, %v", len(some), err)
	}
	if _, err := Choose([]string{"quic-of-tomorrow"}); !errors.Is(err, ErrScheme) {
		t.Errorf("got %v, want ErrScheme", err)
	}
}

func TestSchemeRefuses(t *testing.T) {
	const good = "name: x\nsender: [[cat]]\nmedia_in: stdin\nmedia_out: udp://127.0.0.1:1\n"
	if _, err := ParseScheme([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ yaml, says string }{
		{"name: [", "1"},
		{good + "colour: red\n", "colour"},
		{strings.Replace(good, "name: x", "name: X Y", 1), "name"},
		{strings.Replace(good, "[[cat]]", "[]", 1), "sender"},
		{strings.Replace(good, "[[cat]]", "[[]]", 1), "command"},
		{strings.Replace(good, "stdin", "pigeon", 1), "pigeon"},
		{strings.Replace(good, "cat", "'{colour}'", 1), "{colour} is unknown"},
		{good + "ready: udp://x\n", "ready"},
		{good + "encoder: x264\n", "x264"},
		{good + "encoder: obs\n", "encoder"},
		{strings.Replace(good, "stdin", "rtmp://h/a/b", 1) + "encoder: belacoder\n", "encoder"},
		{strings.Replace(good, "stdin", "udp://h:1", 1) + "encoder: belacoder\nfeedback: http://h/f\n", "feedback"},
		{good + "files: {../x: y}\n", "files"},
		{strings.Replace(good, "media_out: udp://127.0.0.1:1", "", 1), "media_out"},
	} {
		if _, err := ParseScheme([]byte(c.yaml)); !errors.Is(err, ErrScheme) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want it to name %q", c.yaml, err, c.says)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	good := Plan{Profiles: []Profile{{}}, Schemes: []*Scheme{{}}, Seeds: []uint64{1}, Duration: time.Second, Latency: time.Second, Rate: 1e6}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for says, edit := range map[string]func(p *Plan){
		"profile": func(p *Plan) { p.Profiles = nil }, "scheme": func(p *Plan) { p.Schemes = nil }, "seed": func(p *Plan) { p.Seeds = nil },
		"duration": func(p *Plan) { p.Duration = 0 }, "latency": func(p *Plan) { p.Latency = -1 }, "rate": func(p *Plan) { p.Rate = -4 },
		"at a time": func(p *Plan) { p.Parallel = -1 },
	} {
		p := good
		edit(&p)
		if err := p.Validate(); !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func TestCapacity(t *testing.T) {
	c, err := netem.ParseWords("delay 50ms loss 10% rate 4mbit at 2s rate 1mbit")
	if err != nil {
		t.Fatal(err)
	}
	got := capacity(c, 1, 40)
	if a, b := got[5], got[30]; a < 3.8e6 || a > 4.2e6 || b < 0.8e6 || b > 1.2e6 {
		t.Errorf("capacity %v then %v, want 4 and 1 Mbit/s", a, b)
	}
	if capacity(netem.Config{}, 1, 10) != nil {
		t.Error("a link without a bottleneck has a capacity")
	}
}

// A noisy cell that is run again gives way to the run with less noise, whichever score is better.
func TestNoisyCellsGiveWay(t *testing.T) {
	m := &matrix{plan: &Plan{}, report: &report.Report{}}
	result := func(seed uint64, stalled float64, noisy ...string) *report.Cell {
		c := &report.Cell{Profile: "p", Scheme: "s", Seed: seed, Noisy: noisy}
		c.Score.NeverPercent = stalled
		return c
	}
	for _, c := range []*report.Cell{
		result(1, 1, "late"), result(2, 2), result(3, 3, "late", "disturbed"), result(4, 4, "late"),
		result(1, 10), result(3, 30, "late"), result(4, 0, "late", "disturbed"),
	} {
		m.add(c)
	}
	var got []float64
	for _, c := range m.report.Cells {
		got = append(got, c.Score.NeverPercent)
	}
	if want := []float64{10, 2, 30, 4}; !slices.Equal(got, want) || m.done != 7 {
		t.Errorf("kept %v after %d runs, want %v after 7", got, m.done, want)
	}
	if one := (&cell{scheme: &Scheme{Name: "s"}, profile: Profile{Name: "p"}, seed: 3}); !m.noisy(one) {
		t.Error("a cell that stayed noisy is not run again")
	}
}

func plan(t *testing.T, schemes []*Scheme, words string) *Plan {
	t.Helper()
	up, err := netem.ParseWords(words)
	if err != nil {
		t.Fatal(err)
	}
	testClip(t, 0)
	path, _ := clip()
	return &Plan{
		Profiles: []Profile{{Name: "link", Title: words, Up: up, Down: netem.Config{Delay: up.Delay}}}, Schemes: schemes,
		Seeds: []uint64{1}, Duration: 2 * time.Second, Latency: 300 * time.Millisecond, Clip: path, Parallel: 4,
	}
}

// Every shipped scheme whose program is here carries the clip over a good link.
func TestSchemesCarryTheClip(t *testing.T) {
	root(t)
	for _, p := range []string{"srt-live-transmit", "ristsender", "ristreceiver"} {
		need.Program(t, p)
	}
	need.NginxRTMP(t)
	all, err := Choose([]string{"rtmp", "srt", "srt-fec", "rist"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := plan(t, all, "delay 10ms rate 20mbit")
	p.Duration = 3 * time.Second
	p.Progress = func(p Progress) { t.Log(p.Last.Line()) }
	r, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.Partial || len(r.Cells) != len(all) {
		t.Errorf("%d cells of %d, partial %v", len(r.Cells), len(all), r.Partial)
	}
	carried := func(c *report.Cell) bool {
		whole := c.Error == "" && c.Score.NeverPercent <= 70 && c.Sound.Arrived > 0
		for _, b := range c.Score.Players {
			whole = whole && b.Started
		}
		return whole
	}
	for range 4 { // a machine that stands still for a second costs a cell of three its score: such a cell is run again, alone
		var again []*Scheme
		for i := range r.Cells {
			if c := &r.Cells[i]; c.Error == "" && !carried(c) {
				again = append(again, all[slices.IndexFunc(all, func(s *Scheme) bool { return s.Name == c.Scheme })])
			}
		}
		if len(again) == 0 {
			break
		}
		p.Schemes, p.Parallel = again, 1
		second, err := p.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range second.Cells {
			r.Cells[slices.IndexFunc(r.Cells, func(old report.Cell) bool { return old.Scheme == c.Scheme })] = c
		}
	}
	for i := range r.Cells {
		c := &r.Cells[i]
		// A loaded machine may start a program late and lose the first key frame; the second one comes after 2 s.
		if !carried(c) || c.Up.Packets == 0 || c.Timeline == nil || len(c.Timeline.CapacityBps) == 0 {
			t.Errorf("%s: error %q, never %.1f %%, sound %+v, up %+v", c.Scheme, c.Error, c.Score.NeverPercent, c.Sound, c.Up)
		}
		if c.Control.Packets == 0 {
			t.Errorf("%s: no control stream beside it", c.Scheme)
		}
	}
	if err := r.Save(dir); err != nil {
		t.Fatal(err)
	}
}

// mark tells the programs of this process's cells from those of other tests.
var mark = strconv.Itoa(os.Getpid())

// A program that crashes is named with its words, and the run goes on.
func TestCrashIsReported(t *testing.T) {
	root(t)
	crash, err := ParseScheme([]byte(`
name: crash
receiver: [[sleep, "1000.` + mark + `"]]
sender: [[sh, -c, "sleep 0.3; echo boom >&2; exit 3"]]
media_in: udp://127.0.0.1:9001
media_out: udp://127.0.0.1:9002
`))
	if err != nil {
		t.Fatal(err)
	}
	absent := *crash
	absent.Name, absent.Needs = "absent", []string{"no-such-program"}
	p := plan(t, []*Scheme{&absent, crash}, "delay 1ms")
	p.Duration = 3 * time.Second
	r, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Skipped) != 1 || !strings.Contains(r.Skipped[0].Why, "no-such-program") {
		t.Errorf("skipped %+v", r.Skipped)
	}
	if len(r.Cells) != 1 || !strings.Contains(r.Cells[0].Error, "exit status 3: boom") || r.Cells[0].Score.Players[0].StallSecPer100s != 100 {
		t.Errorf("got %+v", r.Cells)
	}
	nothingLeft(t)
}

// Cancelled in the middle, a run leaves no program, no folder and no namespace, and keeps the cells it had.
func TestCancelLeavesNothing(t *testing.T) {
	root(t)
	stay, err := ParseScheme([]byte(`
name: stay
receiver: [[sh, -c, "trap '' TERM; sleep 999.` + mark + ` & sleep 998.` + mark + `"]]
sender: [[sh, -c, "sleep 997.` + mark + ` & exec sleep 996.` + mark + `"]]
media_in: udp://127.0.0.1:9001
media_out: udp://127.0.0.1:9002
`))
	if err != nil {
		t.Fatal(err)
	}
	p := plan(t, []*Scheme{stay}, "delay 1ms")
	p.Duration, p.Parallel, p.Seeds = time.Second, 1, []uint64{1, 2, 3}
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	dir := t.TempDir()
	p.Progress = func(pr Progress) {
		if err := pr.Report.SaveData(dir); err != nil {
			t.Error(err)
		}
		time.AfterFunc(1200*time.Millisecond, func() { cancel(interrupted) }) // in the middle of the second cell
	}
	r, err := p.Run(ctx)
	if !errors.Is(err, interrupted) || !r.Partial || len(r.Cells) != 1 {
		t.Errorf("%d cells, partial %v, %v; want 1, true, interrupted", len(r.Cells), r.Partial, err)
	}
	if back, err := report.Load(filepath.Join(dir, "results.json")); err != nil || !back.Partial || len(back.Cells) != 1 {
		t.Errorf("the partial report: %v", err)
	}
	nothingLeft(t)
}

func TestFoldersOfKilledRunsAreRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	folder := func(pid int) string {
		path := filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-x", folderPrefix, pid))
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	gone, alive, ours := folder(1<<22+7), folder(1), folder(os.Getpid()) // 2^22 is the largest number a process may have
	removeLeftovers()
	for path, want := range map[string]bool{gone: false, alive: true, ours: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
}

// nothingLeft looks for programs of this test's cells and for their folders.
func nothingLeft(t *testing.T) {
	t.Helper()
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		b, _ := os.ReadFile(p)
		line := strings.ReplaceAll(string(b), "\x00", " ")
		if strings.HasPrefix(line, "sleep ") && strings.Contains(line, "."+mark+" ") {
			t.Errorf("left behind: %s", line)
		}
	}
	// Of this process alone: another package's tests may be running cells of their own.
	if dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), fmt.Sprintf("%s%d-*", folderPrefix, os.Getpid()))); len(dirs) > 0 {
		t.Errorf("left behind: %v", dirs)
	}
	// A nameless namespace, and every port in it, lives as long as a process, a thread or a descriptor holds it.
	held := map[string]bool{}
	threads, _ := filepath.Glob("/proc/self/task/*/ns/net")
	for _, p := range threads {
		if ns, err := os.Readlink(p); err == nil {
			held[ns] = true
		}
	}
	if len(held) > 1 {
		t.Errorf("threads are left in namespaces: %v", held)
	}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, p := range fds {
		if to, err := os.Readlink(p); err == nil && (strings.HasPrefix(to, "net:[") || to == "/dev/net/tun") {
			t.Errorf("left open: %s", to)
		}
	}
}
