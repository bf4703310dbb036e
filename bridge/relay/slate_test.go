package relay

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/fairlead-live/fairlead/bench/clip"
	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/flv"
)

func TestSlateIsAnFLVFile(t *testing.T) {
	src, err := clip.New()
	if err != nil {
		t.Fatal(err)
	}
	v, a := src.Configs()
	b := flv.AppendMetadata(nil, v, a)
	b = flv.AppendTag(flv.AppendFileHeader(nil, true, true), flv.TagScript, 0, b)
	for _, c := range [][]byte{must(flv.AppendConfig(nil, v))(t), must(flv.AppendConfig(nil, a))(t)} {
		typ := flv.TagVideo
		if c[0] == 0xaf {
			typ = flv.TagAudio
		}
		b = flv.AppendTag(b, typ, 0, c)
	}
	for range 200 {
		f := src.Next()
		b = flv.AppendTag(b, flv.TypeOf(f.Codec), uint32(flv.Milliseconds(f.DTS)), must(flv.AppendFrame(nil, f))(t))
	}
	file := filepath.Join(t.TempDir(), "slate.flv")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := loadSlate(file); err != nil || s == nil {
		t.Errorf("%v, %v", s, err)
	}
	if s, err := loadSlate(""); err != nil || s != nil {
		t.Errorf("no slate: %v, %v", s, err)
	}
	if _, err := Open(config.Relay{Log: "info", Slate: file + "x"}, nil); !errors.Is(err, config.ErrUsage) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.WriteFile(file, []byte("not FLV"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadSlate(file); err == nil {
		t.Error("not FLV is a slate")
	}
}

// must returns a function that gives b or ends the test.
func must(b []byte, err error) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}
