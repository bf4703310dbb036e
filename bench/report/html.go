package report

import (
	"html/template"
	"io"
	"strings"
	"time"
)

var page = template.Must(template.New("report").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>fairlead bench {{.Made}}</title>
<style>
body{font:14px/1.45 Arial,Helvetica,sans-serif;margin:2em auto;max-width:1200px;padding:0 1em;color:#222}
table{border-collapse:collapse;font-size:12px}td,th{border:1px solid #ddd;padding:3px 7px;text-align:right;white-space:nowrap}
td:nth-child(-n+2),th:nth-child(-n+2){text-align:left}tr:nth-child(even){background:#fafafa}
.marks{color:#b04a00;text-align:left}svg{max-width:100%;height:auto}details{margin:.5em 0}summary{cursor:pointer}
.wide{overflow-x:auto}code{background:#f4f4f4;padding:1px 4px}
</style></head><body>
<h1>fairlead bench</h1>
<p>{{.Made}}{{if .Partial}} <b class="marks">Partial: the run was interrupted.</b>{{end}}<br><code>{{.Command}}</code></p>
<p>{{.Provenance}}</p>
<p>A stall is more than 100 ms without a new picture in a player with the given buffer; d999 is the smallest latency at which 99.9 % of
the pictures are decodable. Values are means over seeds ± half a 95 % interval (Student's t). Noisy cells,
in which this machine itself was late, are left out where there are others.</p>
{{range .Heat}}<div class="wide">{{.}}</div>{{end}}
<h2>All figures</h2>
<div class="wide"><table><tr>{{range .Head}}<th>{{.}}</th>{{end}}<th></th></tr>
{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
{{end}}</table></div>
{{range .Verdict}}<p>{{.}}</p>
{{end}}{{if .Skipped}}<h2>Skipped</h2><ul>{{range .Skipped}}<li>{{.Scheme}}: {{.Why}}</li>{{end}}</ul>{{end}}
<h2>Links and schemes</h2>
<ul>{{range .Profiles}}<li><b>{{.Name}}</b> {{.Title}}</li>{{end}}</ul>
<ul>{{range .Schemes}}<li><b>{{.Name}}</b> {{.Title}}. {{.Notes}}</li>{{end}}</ul>
<h2>Timelines</h2>
<p>Time runs from the first picture. Capacity is what the link could have carried; sent counts every byte put on it; a stall bar is as long
as the player of that buffer showed nothing new.</p>
{{range .Lines}}<details{{if .Open}} open{{end}}><summary>{{.Title}}</summary>{{if .Why}}<p class="marks">{{.Why}}</p>{{end}}{{.Plot}}</details>
{{end}}</body></html>
`))

type pageLine struct {
	Title, Why string
	Open       bool
	Plot       template.HTML
}

// WriteHTML writes one page with everything in it: it loads nothing and runs nothing.
func (r *Report) WriteHTML(w io.Writer) error {
	data := struct {
		Made, Command, Provenance string
		Partial                   bool
		Heat                      []template.HTML
		Head                      []string
		Rows                      [][]string
		Verdict                   []string
		Skipped                   []Skipped
		Profiles                  []Profile
		Schemes                   []Scheme
		Lines                     []pageLine
	}{
		Made: r.Made.Format(time.DateTime + " UTC"), Command: strings.Join(r.Command, " "), Provenance: r.provenance(), Partial: r.Partial,
		Head: tableHead(), Rows: r.tableRows(), Verdict: strings.Split(strings.TrimSpace(r.verdict()), "\n\n"), Skipped: r.Skipped, Profiles: r.Profiles, Schemes: r.Schemes,
	}
	if len(r.Profiles) > 0 && len(r.Schemes) > 0 && len(r.Cells) > 0 {
		for _, h := range []struct {
			name string
			top  float64
		}{{"stall_s_per_100s_b1000", 30}, {"never_decodable_percent", 10}, {"latency_p99_ms", 1500}} {
			s, err := r.heatMap(h.name, h.top)
			if err != nil {
				return err
			}
			data.Heat = append(data.Heat, s)
		}
	}
	for i := range r.Cells {
		c := &r.Cells[i]
		l := pageLine{Title: c.Line(), Why: strings.Join(c.Noisy, "; "), Open: i == 0}
		if c.Timeline != nil {
			var err error
			if l.Plot, err = c.timeline(); err != nil {
				return err
			}
		}
		data.Lines = append(data.Lines, l)
	}
	return page.Execute(w, data)
}
