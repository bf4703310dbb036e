package api

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/fairlead-live/fairlead/bridge/advice"
	"github.com/fairlead-live/fairlead/bridge/events"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmpout"
)

// fixed is a relay with two streams, one live over SRT with a player and a destination, one held.
type fixed struct{ kicked []string }

func (f *fixed) Streams() []hub.StreamStats {
	return []hub.StreamStats{
		{Name: "live/held", Counts: hub.StreamCounts{Frames: 7, Bytes: 70, Publishes: 1, Held: 3}},
		{
			Name: "live/cam", Publisher: &hub.PublisherStats{PublisherInfo: hub.PublisherInfo{Protocol: "srt", Peer: "192.0.2.7:5000"}, Since: time.Now().Add(-time.Minute)},
			Tracks: []*media.Config{{Codec: media.H264, Width: 1280, Height: 720, FrameRate: 30}, {Codec: media.AAC, SampleRate: 48000, Channels: 2}},
			Counts: hub.StreamCounts{Frames: 3000, Bytes: 30_000_000, Publishes: 2},
			Subscribers: []hub.SubscriberStats{
				{SubscriberInfo: hub.SubscriberInfo{Protocol: "http-flv", Peer: "192.0.2.9:40000"}, Counts: hub.SubscriberCounts{Delivered: 10, Bytes: 1000}},
				{SubscriberInfo: hub.SubscriberInfo{Protocol: "push"}},
			},
		},
	}
}

func (f *fixed) Outputs() []OutputStats {
	return []OutputStats{{ID: "a1b2", Stream: "live/cam", Stats: rtmpout.Stats{Destination: "rtmp://cdn.example/app", Frames: 10, Ended: [len(rtmpout.Stats{}.Ended)]uint64{1}}}}
}

func (f *fixed) Advice(string) []advice.Sentence {
	return []advice.Sentence{{Rule: "gop_long", Text: "too long", Evidence: "8 s"}}
}

func (f *fixed) Webhooks() []events.WebhookStats { return []events.WebhookStats{{Posted: 3}} }

func (f *fixed) Events() *events.Bus { return events.NewBus() }

func (f *fixed) Refused() []Refusal { return []Refusal{{"srt", "expired", 4}} }
func (f *fixed) Strays() []Refusal  { return []Refusal{{"srt", "cookie", 5}} }

func (f *fixed) Drain(_ time.Duration, to, _ string) error {
	if to == "nowhere" {
		return errors.New("nowhere is no address")
	}
	return nil
}

func (f *fixed) Drained() DrainState {
	return DrainState{State: "draining", Publishers: map[string]int{"quic": 2}}
}

func (f *fixed) Target(string) int64 { return 3_400_000 }

func (f *fixed) Link(stream string) (Link, bool) {
	return Link{RTT: 42 * time.Millisecond, Latency: 300 * time.Millisecond, Received: 1000, ReceivedBytes: 1316000, Lost: 50, Retransmitted: 48, Dropped: 2, Paths: []Path{{Peer: "192.0.2.7:5000", Kind: "srtla", Active: true, Received: 600}}}, stream == "live/cam"
}

func (f *fixed) Kick(stream string) error {
	if stream != "live/cam" {
		return ErrNotFound
	}
	f.kicked = append(f.kicked, stream)
	return nil
}

func (f *fixed) AddOutput(_ string, urls []string) (string, error) {
	if len(urls) == 0 {
		return "", errors.New("no URL")
	}
	return "a1b2", nil
}

func known(id string) error {
	if id != "a1b2" {
		return ErrNotFound
	}
	return nil
}

func (f *fixed) Addresses() []Address {
	return []Address{{"live/cam", "watch", "HTTP-FLV", "http://relay:8080/live/cam.flv", ""}}
}

func (f *fixed) RemoveOutput(id string) error  { return known(id) }
func (f *fixed) PauseOutput(id string) error   { return known(id) }
func (f *fixed) RestartOutput(id string) error { return known(id) }
func (f *fixed) Config() map[string]any        { return map[string]any{"hold": "20s"} }

func (f *fixed) DiffConfig(yaml []byte) (Changes, error) {
	if len(yaml) == 0 {
		return Changes{}, errors.New("it is empty")
	}
	return Changes{Applied: []string{"push"}, Restart: []string{}}, nil
}

func (f *fixed) ApplyConfig(yaml []byte) (Changes, error) { return f.DiffConfig(yaml) }

func get(t *testing.T, s *Server, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9997"+path, nil)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func sampled() (*Server, *fixed) {
	f := &fixed{}
	ok := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL) })
	s := New(Config{Source: f, Page: ok, Picture: ok})
	now := time.Now()
	before := f.Streams()
	before[1].Counts.Bytes -= 1_250_000
	before[1].Counts.Frames -= 60
	s.rates.sample(now.Add(-2*time.Second), before)
	s.rates.sample(now, f.Streams())
	return s, f
}

func TestStreams(t *testing.T) {
	s, f := sampled()
	var list struct{ Streams []Stream }
	if err := json.Unmarshal(get(t, s, "/v1/streams", nil).Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Streams) != 2 || list.Streams[0].Name != "live/cam" || list.Streams[1].State != "held" || list.Streams[1].BitrateBPS != 0 {
		t.Fatalf("%+v", list)
	}
	cam := list.Streams[0]
	if cam.BitrateBPS != 5_000_000 || cam.FrameRate != 30 || cam.Players != 1 || cam.Outputs != 1 || cam.Publisher.Link.RTTms != 42 || cam.Publisher.Link.Dropped != 2 {
		t.Errorf("%+v %+v", cam, cam.Publisher.Link)
	}
	if paths := cam.Publisher.Link.Paths; len(paths) != 1 || paths[0] != (PathView{Peer: "192.0.2.7:5000", Kind: "srtla", Active: true, Received: 600}) {
		t.Errorf("paths %+v", paths)
	}
	for path, status := range map[string]int{
		"/v1/streams/live/cam": 200, "/v1/streams/live/dog": 404, "/v1/streams/live/cam/players": 200, "/v1/streams/live/dog/players": 404,
		"/v1/outputs": 200, "/v1/version": 200, "/v1/openapi.yaml": 200, "/v1/nothing": 404, "/debug/pprof/": 200, "/v1/streams/../../etc/passwd": 307,
	} {
		if got := get(t, s, path, nil); got.Code != status {
			t.Errorf("%s: %d, want %d: %s", path, got.Code, status, got.Body)
		}
	}
	if got := get(t, s, "/v1/streams/live/cam/picture.flv?token=x", nil).Body.String(); got != "http://127.0.0.1:9997/live/cam.flv" {
		t.Errorf("the picture is asked of %s", got)
	}
	del := func(r *http.Request) { r.Method = http.MethodDelete }
	if got := get(t, s, "/v1/streams/live/cam/publisher", del); got.Code != 204 || len(f.kicked) != 1 {
		t.Errorf("kick: %d, %v", got.Code, f.kicked)
	}
	if got := get(t, s, "/v1/streams/live/held/publisher", del); got.Code != 404 {
		t.Errorf("kick of nobody: %d", got.Code)
	}
}

func TestAccess(t *testing.T) {
	open := New(Config{Source: &fixed{}})
	locked := New(Config{Source: &fixed{}, Token: "t0ken"})
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	for _, c := range []struct {
		what   string
		s      *Server
		path   string
		change func(*http.Request)
		want   int
	}{
		{"loopback", open, "/v1/streams", nil, 200},
		{"localhost", open, "/v1/streams", host("localhost:9997"), 200},
		{"IPv6", open, "/v1/streams", host("[::1]:9997"), 200},
		{"a name that was rebound to us", open, "/v1/streams", host("attacker.example"), 403},
		{"from a page elsewhere", open, "/v1/streams", header("Origin", "https://attacker.example"), 403},
		{"from a page elsewhere, fetched", open, "/v1/streams", header("Sec-Fetch-Site", "cross-site"), 403},
		{"from our page", open, "/v1/streams", header("Origin", "http://127.0.0.1:9997"), 200},
		{"no token", locked, "/v1/streams", nil, 401},
		{"wrong token", locked, "/v1/streams", header("Authorization", "Bearer t0ke"), 401},
		{"bearer", locked, "/v1/streams", header("Authorization", "Bearer t0ken"), 200},
		{"basic", locked, "/stats", func(r *http.Request) { r.SetBasicAuth("any", "t0ken") }, 200},
		{"query", locked, "/stats?token=t0ken", nil, 200},
		{"from anywhere, with it", locked, "/v1/streams?token=t0ken", host("relay.example"), 200},
		{"from a page elsewhere, with it", locked, "/v1/streams?token=t0ken", header("Origin", "https://attacker.example"), 403},
		{"metrics", locked, "/metrics", nil, 401},
		{"profiles", locked, "/debug/pprof/heap", nil, 401},
	} {
		if got := get(t, c.s, c.path, c.change); got.Code != c.want {
			t.Errorf("%s: %d, want %d", c.what, got.Code, c.want)
		} else if got.Header().Get("Access-Control-Allow-Origin") != "" || got.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", c.what, got.Header())
		}
	}
}

// The fields that NOALBS's structs cannot do without.
func TestNOALBSFields(t *testing.T) {
	s, _ := sampled()
	must := func(m map[string]any, fields ...string) {
		t.Helper()
		for _, f := range fields {
			if _, ok := m[f].(float64); !ok {
				if _, ok := m[f].(string); !ok {
					t.Errorf("%s is %T", f, m[f])
				}
			}
		}
	}
	var sls struct{ Publishers map[string]map[string]any }
	if err := json.Unmarshal(get(t, s, "/stats", nil).Body.Bytes(), &sls); err != nil {
		t.Fatal(err)
	}
	cam := sls.Publishers["publish/live/cam"]
	must(cam, "bitrate", "bytesRcvDrop", "bytesRcvLoss", "mbpsBandwidth", "mbpsRecvRate", "msRcvBuf", "pktRcvDrop", "pktRcvLoss", "rtt", "uptime", "dropped_pkts")
	if cam["bitrate"] != 5000.0 || cam["rtt"] != 42.0 || len(sls.Publishers) != 1 {
		t.Errorf("%v", sls)
	}
	var path struct {
		Name   string
		Source struct{ Type, ID string }
		Bytes  float64 `json:"bytesReceived"`
	}
	if err := json.Unmarshal(get(t, s, "/v3/paths/get/live/cam", nil).Body.Bytes(), &path); err != nil || path.Name != "live/cam" || path.Source.Type != "srtConn" || path.Bytes != 30e6 {
		t.Fatalf("%+v, %v", path, err)
	}
	var conn map[string]any
	if err := json.Unmarshal(get(t, s, "/v3/srtconns/get/"+path.Source.ID, nil).Body.Bytes(), &conn); err != nil {
		t.Fatal(err)
	}
	must(conn, "id", "created", "remoteAddr", "state", "path", "query", "packetsReceivedUnique", "packetsReceivedLoss", "packetsReceivedRetrans", "packetsReceivedDrop",
		"bytesReceived", "bytesReceivedUnique", "msRTT", "mbpsReceiveRate", "byteMSS", "msReceiveTsbPdDelay", "packetsReceivedLossRate")
	must(conn, mtxZeros...)
	if len(conn) < 50 {
		t.Errorf("%d fields", len(conn))
	}
	for _, held := range []string{"/v3/paths/get/live/held", "/v3/srtconns/get/live/held", "/v3/paths/get/x"} {
		if got := get(t, s, held, nil); got.Code != 404 {
			t.Errorf("%s: %d", held, got.Code)
		}
	}
	var ng struct {
		Apps []struct {
			Name    string `xml:"name"`
			Streams []struct {
				Name   string  `xml:"name"`
				Video  uint32  `xml:"bw_video"`
				Width  uint32  `xml:"meta>video>width"`
				Rate   float64 `xml:"meta>video>frame_rate"`
				Codec  string  `xml:"meta>video>codec"`
				Sample uint32  `xml:"meta>audio>sample_rate"`
			} `xml:"live>stream"`
		} `xml:"server>application"`
	}
	if err := xml.Unmarshal(get(t, s, "/stat", nil).Body.Bytes(), &ng); err != nil {
		t.Fatal(err)
	}
	if len(ng.Apps) != 1 || ng.Apps[0].Name != "live" || len(ng.Apps[0].Streams) != 1 {
		t.Fatalf("%+v", ng)
	}
	if st := ng.Apps[0].Streams[0]; st.Name != "cam" || st.Video != 5_000_000 || st.Width != 1280 || st.Rate != 30 || st.Sample != 48000 || st.Codec != "H264" {
		t.Errorf("%+v", st)
	}
}

// Every handler is in the OpenAPI file and every path of the file has a handler; the schemas are the structs.
func TestOpenAPIMatches(t *testing.T) {
	var doc struct {
		Paths      map[string]map[string]any
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	if err := yaml.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	s, _ := sampled()
	count := 0
	for path, methods := range doc.Paths {
		for method := range methods {
			if method == "parameters" {
				continue
			}
			count++
			r := httptest.NewRequest(strings.ToUpper(method), "http://127.0.0.1"+strings.NewReplacer("{app}", "live", "{key}", "cam", "{name}", "live/cam", "{id}", "a1b2").Replace(path), strings.NewReader(`{"urls": ["rtmp://x/y/z"]}`))
			if _, pattern := s.mux.Handler(r); pattern == "" {
				t.Errorf("%s %s has no handler", method, path)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code >= 400 {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
	}
	if want := len(s.patterns()) - 6; count != want { // Go's pprof and the page have three each
		t.Errorf("%d operations, %d handlers", count, want)
	}
	for name, v := range map[string]any{"Stream": Stream{}, "Publisher": Publisher{}, "LinkView": LinkView{}, "PathView": PathView{}, "Track": Track{}, "Player": Player{}, "Output": Output{}, "Changes": Changes{}, "Address": Address{}} {
		props := doc.Components.Schemas[name].Properties
		for f := range reflect.TypeOf(v).Fields() {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if _, ok := props[tag]; !ok {
				t.Errorf("%s: the schema has no %s", name, tag)
			}
			delete(props, tag)
		}
		for extra := range props {
			t.Errorf("%s: the schema has %s, which is not sent", name, extra)
		}
	}
}

// docs/metrics.md is made from the code: run with -update.
func TestMetricsTable(t *testing.T) {
	s, _ := sampled()
	text := get(t, s, "/metrics", nil).Body.String()
	var b strings.Builder
	b.WriteString(metricsHead)
	for _, m := range metrics {
		kind := "gauge"
		if m.counter {
			kind = "counter"
		}
		if m == &mOutDelay {
			kind = "histogram"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, kind, strings.Join(m.labels, ", "), m.help)
		if !strings.Contains(text, "\n"+m.name+"{") && !strings.Contains(text, "\n"+m.name+" ") && !strings.Contains(text, "\n"+m.name+"_bucket{") {
			t.Errorf("%s is not served", m.name)
		}
		if m.counter != strings.HasSuffix(m.name, "_total") {
			t.Errorf("%s: a counter's name ends in _total, a gauge's does not", m.name)
		}
	}
	b.WriteString(metricsTail)
	const file = "../../docs/metrics.md"
	if os.Getenv("FAIRLEAD_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != b.String() {
		t.Errorf("docs/metrics.md is not what the code says (%v); make it with FAIRLEAD_UPDATE=1 go test ./bridge/api -run MetricsTable", err)
	}
}

const metricsHead = `# Metrics

` + "`GET /metrics`" + ` on the API's address serves these for Prometheus, and Go's own ` + "`go_…` and `process_…`" + `. Labels are bounded: a stream is one that was
admitted, a destination one that is configured. ` + "`docs/grafana.json`" + ` is a dashboard, ` + "`docs/alerts.yaml`" + ` examples of alerts.

| name | type | labels | what |
| --- | --- | --- | --- |
`

const metricsTail = `
The table is made from the code by the test that keeps it true.
`
