package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/fairlead-live/fairlead"

// pure packages are told the time: no clock, goroutine, socket, file, log or random source.
// A pattern ending in /... holds for the packages below it too.
var pure = []string{
	"fec/...", "congestion/...",
	"transport", "transport/seq", "transport/wire", "transport/srtp", "transport/arq", "transport/playout", "transport/session", "transport/srt/...",
	"bridge/advice", "bridge/amf", "bridge/nearest", "bridge/media", "bridge/mpegts", "bridge/rtpav", "bridge/flv", "bridge/rtmp", "bridge/ingest", "bridge/stutter",
	"bench/bound", "bench/cc", "bench/clip", "bench/encoder", "bench/netem", "bench/peers", "bench/show", "bench/sim",
}

// layer is the height of a top-level folder in cmd → bridge → transport → {fec, congestion}.
var layer = map[string]int{"cmd": 4, "bridge": 3, "transport": 2, "fec": 1, "congestion": 1}

// home of each third-party library (by import path prefix). Tests may use any of them as an oracle.
var home = map[string][]string{
	"github.com/datarhei/gosrt":            {"transport/srtlink"},
	"github.com/quic-go/quic-go":           {"transport/quiclink"},
	"github.com/klauspost/reedsolomon":     {"fec"},
	"github.com/pion/rtp":                  {"transport/wire", "bridge/rtpav"},
	"github.com/pion/rtcp":                 {"transport/wire"},
	"github.com/bluenviron/mediacommon/v2": {"bridge/amf", "bridge/media", "bridge/mpegts", "bridge/push"},
	"github.com/bluenviron/gortmplib":      {"none: an oracle in tests"},
	"github.com/asticode/go-astits":        {"none: an oracle in tests"},
	"golang.org/x/sys":                     {"transport/udp", "bench/emu", "bench/run", "bridge/rtmpout", "bridge/tcp"},
	"github.com/goccy/go-yaml":             {"bridge/config", "bench/netem/profile", "bench/run", "bench/profile"},
	"github.com/go-jose/go-jose/v4":        {"bridge/auth"},
	"gonum.org/v1/plot":                    {"bench/report"},
}

// impure imports, and the selectors of allowed packages that read a clock or the world.
var impureImports = []string{
	"net", "os", "os/exec", "os/signal", "log", "log/slog", "math/rand", "crypto/rand", "syscall", "sync", "net/http", "context", "io/fs", "time/tzdata",
}

var impureSelectors = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"},
}

// randGlobals of math/rand/v2 draw from a hidden source; a seeded *rand.Rand handed in is fine.
var randAllowed = []string{"New", "NewPCG", "NewChaCha8", "Rand", "Source", "PCG", "ChaCha8", "NewZipf", "Zipf"}

type pkg struct {
	dir   string
	files map[string]*ast.File
}

func load(t *testing.T) (*token.FileSet, []*pkg) {
	t.Helper()
	root := filepath.Join("..", "..")
	fset := token.NewFileSet()
	var pkgs []*pkg
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			return nil
		}
		name := d.Name()
		if name == "testdata" || name == "node_modules" || p != root && strings.HasPrefix(name, ".") {
			return fs.SkipDir
		}
		rel, _ := filepath.Rel(root, p)
		one := &pkg{dir: filepath.ToSlash(rel), files: map[string]*ast.File{}}
		entries, err := os.ReadDir(p)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.IsDir() || !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
				continue
			}
			f, err := parser.ParseFile(fset, filepath.Join(p, e.Name()), nil, parser.ParseComments)
			if err != nil {
				return err
			}
			one.files[e.Name()] = f
		}
		if len(one.files) > 0 {
			pkgs = append(pkgs, one)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fset, pkgs
}

func matches(dir string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if base, ok := strings.CutSuffix(p, "/..."); ok {
			return dir == base || strings.HasPrefix(dir, base+"/")
		}
		return dir == p
	})
}

func importsOf(f *ast.File) []string {
	var out []string
	for _, s := range f.Imports {
		p, _ := strconv.Unquote(s.Path.Value)
		out = append(out, p)
	}
	return out
}

func TestTopLevelIsFixed(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{
		"cmd", "transport", "fec", "congestion", "bridge", "bench", "docs", "bin", "out",
		"go.mod", "go.sum", "Makefile", "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE",
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s does not belong at the top level", e.Name())
		}
	}
}

func TestImportRule(t *testing.T) {
	fset, pkgs := load(t)
	for _, p := range pkgs {
		top, _, _ := strings.Cut(p.dir, "/")
		for _, f := range p.files {
			for _, imp := range importsOf(f) {
				rel, ours := strings.CutPrefix(imp, module+"/")
				if !ours {
					continue
				}
				to, _, _ := strings.Cut(rel, "/")
				bad := ""
				switch {
				case top == to && top != "cmd":
				case to == "cmd":
					bad = "nothing imports cmd"
				case to == "bench" && top != "bench" && p.dir != "cmd/fairlead":
					bad = "only cmd/fairlead and tests look at bench"
				case top == "bench":
				case layer[to] >= layer[top]:
					bad = "the import rule is cmd → bridge → transport → {fec, congestion}"
				}
				if bad != "" {
					t.Errorf("%s: %s imports %s: %s", fset.Position(f.Pos()).Filename, p.dir, rel, bad)
				}
			}
		}
	}
}

func TestPurePackagesStayPure(t *testing.T) {
	fset, pkgs := load(t)
	for _, p := range pkgs {
		if !matches(p.dir, pure) {
			continue
		}
		for _, f := range p.files {
			for _, imp := range importsOf(f) {
				if slices.Contains(impureImports, imp) {
					t.Errorf("%s is pure and imports %s", p.dir, imp)
				}
				if rel, ok := strings.CutPrefix(imp, module+"/"); ok && !matches(rel, pure) {
					t.Errorf("%s is pure and imports %s, which is not", p.dir, rel)
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					t.Errorf("%s: a pure package starts no goroutine", fset.Position(n.Pos()))
				case *ast.SelectorExpr:
					id, ok := n.X.(*ast.Ident)
					if !ok || id.Obj != nil {
						return true
					}
					if slices.Contains(impureSelectors[id.Name], n.Sel.Name) {
						t.Errorf("%s: a pure package is told the time: %s.%s", fset.Position(n.Pos()), id.Name, n.Sel.Name)
					}
					if id.Name == "rand" && !slices.Contains(randAllowed, n.Sel.Name) {
						t.Errorf("%s: a pure package draws from a source handed in, not rand.%s", fset.Position(n.Pos()), n.Sel.Name)
					}
				}
				return true
			})
		}
	}
}

func TestLibrariesAreAtHome(t *testing.T) {
	_, pkgs := load(t)
	for _, p := range pkgs {
		for _, f := range p.files {
			for _, imp := range importsOf(f) {
				for lib, homes := range home {
					if (imp == lib || strings.HasPrefix(imp, lib+"/")) && !slices.Contains(homes, p.dir) {
						t.Errorf("%s imports %s, whose home is %s", p.dir, imp, strings.Join(homes, ", "))
					}
				}
			}
		}
	}
}

func TestOnePackageCommentEach(t *testing.T) {
	_, pkgs := load(t)
	for _, p := range pkgs {
		n := 0
		for _, f := range p.files {
			if f.Doc != nil {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s has %d package comments, want 1", p.dir, n)
		}
		switch base := path.Base(p.dir); base {
		case "util", "utils", "common", "types", "helpers", "internal", "pkg":
			t.Errorf("%s: %q says nothing about what is inside", p.dir, base)
		}
	}
}
