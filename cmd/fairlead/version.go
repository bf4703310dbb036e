package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/fairlead-live/fairlead/bridge/config"
)

func runVersion(_ context.Context, e env) error {
	var sbom bool
	set := config.NewSet("version")
	set.Bool(&sbom, "sbom", false, "the modules this binary is made of, as CycloneDX 1.5 (JSON)")
	if _, err := parse(e, set, "fairlead version [SETTINGS]: what this binary was built from."); err != nil {
		return err
	}
	if !sbom {
		fmt.Fprintln(e.stdout, version())
		return nil
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return fmt.Errorf("this binary carries no build information")
	}
	j := json.NewEncoder(e.stdout)
	j.SetIndent("", "  ")
	return j.Encode(billOf(info))
}

// version says what build information the binary carries.
func version() string {
	v, rev, when, dirty := "devel", "", "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if m := info.Main.Version; m != "" && m != "(devel)" {
			v = m
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				rev = " " + s.Value[:min(12, len(s.Value))]
			case "vcs.time":
				when = " " + s.Value
			case "vcs.modified":
				if s.Value == "true" {
					dirty = " modified"
				}
			}
		}
	}
	return fmt.Sprintf("fairlead %s%s%s%s %s %s/%s", v, rev, when, dirty, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// bill is a software bill of materials in CycloneDX 1.5: what ECMA-424 calls a BOM, without what a binary cannot know.
type bill struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	PURL       string     `json:"purl"`
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// billOf lists the modules of a binary. Go's own checksum of a module (h1:) is no plain hash of a file and stands as a property.
func billOf(info *debug.BuildInfo) bill {
	main := of("application", &info.Main)
	for _, s := range info.Settings {
		if strings.HasPrefix(s.Key, "vcs") || s.Key == "GOOS" || s.Key == "GOARCH" || s.Key == "CGO_ENABLED" || s.Key == "-trimpath" {
			main.Properties = append(main.Properties, property{"go:build:" + s.Key, s.Value})
		}
	}
	goVersion := strings.TrimPrefix(info.GoVersion, "go")
	b := bill{Format: "CycloneDX", Spec: "1.5", Version: 1, Metadata: metadata{main}, Components: []component{
		{Type: "library", Ref: "pkg:golang/std@" + goVersion, Name: "std", Version: goVersion, PURL: "pkg:golang/std@" + goVersion},
	}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		b.Components = append(b.Components, of("library", m))
	}
	return b
}

func of(kind string, m *debug.Module) component {
	purl := "pkg:golang/" + m.Path + "@" + m.Version
	c := component{Type: kind, Ref: purl, Name: m.Path, Version: m.Version, PURL: purl}
	if m.Sum != "" {
		c.Properties = []property{{"go:sum", m.Sum}}
	}
	return c
}
