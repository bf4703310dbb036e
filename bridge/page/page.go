// Package page is the operator's page: streams with their picture, vital signs as charts, destinations, addresses to paste.
//
// It is TypeScript under src, built with Vite into the folder built, which this package embeds; `make build` does it where
// Node is present. A binary built without says how to get it.
//
// What it leaves to others: every number on it, and the pictures (bridge/api); who may see it (bridge/api).
package page

import (
	"bytes"
	"embed"
	"io/fs"
	"net/http"
)

//go:embed all:built
var files embed.FS

// without is the page of a binary that was built without Node.
const without = `<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>fairlead</title>
<p>This binary was built without the page: install Node 20 or later, run <code>make build</code>, and it is here.
Its numbers are at <a href="v1/streams">/v1/streams</a>, <a href="v1/outputs">/v1/outputs</a> and <a href="metrics">/metrics</a>.
`

// policy lets the page load what the relay serves, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Built says whether the page is in this binary.
func Built() bool {
	_, err := fs.Stat(files, "built/index.html")
	return err == nil
}

// withoutDemo is what the demo shows then.
const withoutDemo = `<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>fairlead demo</title>
<p>This binary was built without the page: install Node 20 or later, run <code>make demo</code>, and both pictures are here, side by side.
The terminal has the figures; <a href="demo.json">demo.json</a> too.
`

// Demo serves the page that shows two streams side by side, for GET /; Handler serves what it names. It asks for /demo.json
// (bench/demo's Score) and the streams' HTTP-FLV.
func Demo() http.Handler {
	text := []byte(withoutDemo)
	if index, err := files.ReadFile("built/index.html"); err == nil {
		text = bytes.Replace(index, []byte("<body>"), []byte("<body data-demo>"), 1)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(text)
	})
}

// Handler serves the page's files; for GET / and what index.html names.
func Handler() http.Handler {
	built, err := fs.Sub(files, "built")
	if err != nil {
		panic(err) // the folder is embedded
	}
	serve := http.FileServerFS(built)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		if !Built() {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(without))
			return
		}
		serve.ServeHTTP(w, r)
	})
}
