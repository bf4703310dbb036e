package relay

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/bridge/config"
)

var idle = flag.Int("idle", 300, "connections of TestIdleConnectionsAreBounded; 10000 wants 12,000 file descriptors")

// say sends text as it is, without the client's good manners, and returns what comes back until the server ends the answer.
func say(t *testing.T, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		return ""
	}
	b, _ := io.ReadAll(c)
	return string(b)
}

// Strangers change nothing and read nothing.
func TestProbesOfTheAPI(t *testing.T) {
	r := startRelay(t, config.Relay{Key: []string{"live/cam"}, API: "127.0.0.1:0", APIToken: "a long token", Push: []string{"live/cam=rtmp://127.0.0.1:9/live/secretkey"}})
	api := r.api.Addr().String()
	before := r.operatorState()
	type probe struct {
		what, request string
		status        []string
	}
	var probes []probe
	refused := []string{"400", "401", "403", "404", "405"}
	for _, c := range [][2]string{
		{"DELETE", "/v1/streams/live/cam/publisher"},
		{"POST", "/v1/streams/live/cam/outputs"},
		{"DELETE", "/v1/outputs/" + before.id},
		{"POST", "/v1/outputs/" + before.id + "/pause"},
		{"POST", "/v1/outputs/" + before.id + "/restart"},
		{"POST", "/v1/config/apply"},
		{"POST", "/v1/config/diff"},
		{"GET", "/v1/config"},
		{"GET", "/v1/addresses"},
		{"GET", "/v1/streams"},
		{"GET", "/v1/streams/live/cam/picture.flv"},
		{"GET", "/metrics"},
		{"GET", "/stats"},
		{"GET", "/stat"},
		{"GET", "/v3/paths/list"},
		{"GET", "/debug/pprof/heap"},
		{"GET", "/"},
	} {
		body := "hold: 1s\n"
		for how, head := range map[string]string{
			"without a token":          "",
			"with a wrong one":         "Authorization: Bearer a long toke\r\n",
			"with an empty one":        "Authorization: Bearer \r\n",
			"with two":                 "Authorization: Bearer x\r\nAuthorization: Bearer a long token\r\n",
			"with a method in a head":  "X-HTTP-Method-Override: DELETE\r\n",
			"as if from here":          "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n",
			"from another origin":      "Origin: https://attacker.example\r\nAuthorization: Bearer a long token\r\n",
			"from no origin":           "Origin: null\r\nAuthorization: Bearer a long token\r\n",
			"from an origin like ours": "Origin: http://" + api + ".attacker.example\r\nAuthorization: Bearer a long token\r\n",
			"from a page's form":       "Sec-Fetch-Site: cross-site\r\nAuthorization: Bearer a long token\r\nContent-Type: text/plain\r\n",
		} {
			probes = append(probes, probe{c[0] + " " + c[1] + " " + how,
				fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s", c[0], c[1], api, len(body), head, body), refused})
		}
	}
	for _, path := range []string{
		"/../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd", "/page.js/../../../../etc/passwd", "/page.js%00.flv",
		"//etc/passwd", "/built/index.html", "/.git/config", "/debug/pprof/cmdline", "/debug/vars", `/..\..\..\etc\passwd`, "/v1/streams/../config", "file:///etc/passwd",
	} {
		probes = append(probes, probe{"path " + path, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAuthorization: Bearer a long token\r\n\r\n", path, api), []string{"307", "400", "404"}})
	}
	probes = append(probes,
		probe{"preflight", "OPTIONS /v1/config/apply HTTP/1.1\r\nHost: " + api + "\r\nConnection: close\r\nOrigin: https://attacker.example\r\nAccess-Control-Request-Method: POST\r\n\r\n", refused},
		probe{"TRACE", "TRACE / HTTP/1.1\r\nHost: " + api + "\r\nConnection: close\r\nAuthorization: Bearer a long token\r\n\r\n", []string{"404", "405"}},
		probe{"a proxy's", "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\nConnection: close\r\nAuthorization: Bearer a long token\r\n\r\n", []string{"400", "404", "405"}},
		probe{"long header", "GET / HTTP/1.1\r\nHost: " + api + "\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", []string{"431", ""}},
		probe{"long body", fmt.Sprintf("POST /v1/config/diff HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAuthorization: Bearer a long token\r\nContent-Length: %d\r\n\r\n", api, maxBody+1) + strings.Repeat("#", maxBody+1), []string{"413", ""}},
		probe{"two lengths", "POST /v1/config/diff HTTP/1.1\r\nHost: " + api + "\r\nContent-Length: 3\r\nContent-Length: 30\r\n\r\nabc", []string{"400"}},
		probe{"length and chunks", "POST /v1/config/diff HTTP/1.1\r\nHost: " + api + "\r\nConnection: close\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []string{"400", "401"}},
		probe{"no host", "GET / HTTP/1.1\r\n\r\n", []string{"400"}},
	)
	for _, p := range probes {
		answer := say(t, api, p.request)
		status, _, _ := strings.Cut(strings.TrimPrefix(answer, "HTTP/1.1 "), " ")
		if !slices.Contains(p.status, status) {
			t.Errorf("%s: status %q, want one of %q", p.what, status, p.status)
		}
		for _, secret := range []string{"root:", "secretkey", "a long token"} {
			if strings.Contains(answer, secret) {
				t.Errorf("%s: the answer has %q in it", p.what, secret)
			}
		}
		if head, _, _ := strings.Cut(answer, "\r\n\r\n"); strings.Contains(head, "Access-Control-Allow") {
			t.Errorf("%s: other origins are let in: %s", p.what, head)
		}
	}
	if after := r.operatorState(); after != before {
		t.Errorf("something changed: %+v, was %+v", after, before)
	}
}

// state is what a stranger could have changed.
type state struct {
	id      string
	outputs int
	hold    time.Duration
	paused  bool
}

func (r *Relay) operatorState() state {
	all := operator{r}.Outputs()
	s := state{outputs: len(all)}
	if len(all) > 0 {
		s.id, s.paused = all[0].ID, all[0].Stats.State.String() == "paused"
	}
	r.reload.Lock()
	defer r.reload.Unlock()
	s.hold = r.cfg.Hold
	return s
}

// What an answer tells a browser.
func TestHeadersOfEveryAnswer(t *testing.T) {
	r := startRelay(t, config.Relay{Key: []string{"live/cam"}, API: "127.0.0.1:0"})
	_, _, web := r.Addrs()
	const strict = "X-Content-Type-Options=nosniff X-Frame-Options=DENY Cache-Control=no-store Referrer-Policy=no-referrer Access-Control-Allow-Origin="
	for url, want := range map[string]string{
		"http://" + r.api.Addr().String() + "/":            strict,
		"http://" + r.api.Addr().String() + "/v1/streams":  strict,
		"http://" + r.api.Addr().String() + "/metrics":     strict,
		"http://" + r.api.Addr().String() + "/nothing":     strict,
		"http://" + web.String() + "/healthz":              "X-Content-Type-Options=nosniff Access-Control-Allow-Origin=",
		"http://" + web.String() + "/live/nothing.flv":     "X-Content-Type-Options=nosniff Access-Control-Allow-Origin=*", // players are anywhere
		"http://" + web.String() + "/../../etc/passwd.flv": "X-Content-Type-Options=nosniff",
	} {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		for pair := range strings.FieldsSeq(want) {
			name, value, _ := strings.Cut(pair, "=")
			if got := res.Header.Get(name); got != value {
				t.Errorf("%s: %s = %q, want %q", url, name, got, value)
			}
		}
		if res.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s lets other origins use the browser's credentials", url)
		}
		if strings.HasSuffix(url, "/") {
			if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "script-src 'self' 'unsafe") {
				t.Errorf("%s: policy %q", url, csp)
			}
		}
	}
}

// Who says nothing, or says it a byte at a time, is cut; the limits are of seconds, the test waits for minutes if it must.
func TestSlowClientsAreCut(t *testing.T) {
	if testing.Short() {
		t.Skip("several seconds of real time: make test runs it")
	}
	t.Parallel()
	r := startRelay(t, config.Relay{Key: []string{"live/cam"}, API: "127.0.0.1:0"})
	_, rtmp, web := r.Addrs()
	api := r.api.Addr().String()
	var wg sync.WaitGroup
	for _, c := range []struct{ what, addr, first, drip string }{
		{"silent, to the API", api, "", ""},
		{"silent, to HTTP", web.String(), "", ""},
		{"silent, to RTMP", rtmp.String(), "", ""},
		{"header, to the API", api, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", "x"},
		{"header, to HTTP", web.String(), "GET /live/cam.flv HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", "x"},
		{"body, to the API", api, "POST /v1/config/diff HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n", "#"},
		{"body in chunks, to the API", api, "POST /v1/config/apply HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n#\r\n"},
		{"body, to HTTP", web.String(), "POST /live/cam.flv HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n", "#"},
		{"handshake, to RTMP", rtmp.String(), "\x03", "\x00"},
	} {
		wg.Go(func() {
			nc, err := net.Dial("tcp", c.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			begun := time.Now()
			_, _ = io.WriteString(nc, c.first)
			cut := make(chan struct{})
			go func() {
				defer close(cut)
				_, _ = io.Copy(io.Discard, bufio.NewReader(nc))
			}()
			drip := time.NewTicker(200 * time.Millisecond)
			defer drip.Stop()
			for {
				select {
				case <-cut:
					t.Logf("%s: cut after %v", c.what, time.Since(begun).Round(100*time.Millisecond))
					return
				case <-drip.C:
					_, _ = io.WriteString(nc, c.drip)
				}
				if time.Since(begun) > 90*time.Second {
					t.Errorf("%s: not cut", c.what)
					return
				}
			}
		})
	}
	wg.Wait()
}

// As many as there may be are held for a little memory each, more are reset, and once they go others come in. The clients are another process:
// each side has its own descriptors then.
func TestIdleConnectionsAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("many sockets: make test runs it")
	}
	n := *idle
	r := startRelay(t, config.Relay{Key: []string{"live/cam"}, Connections: n})
	_, rtmp, web := r.Addrs()
	for protocol, addr := range map[string]string{"http": web.String(), "rtmp": rtmp.String()} {
		before := memory()
		release := dialAndHold(t, addr, n+n/10)
		held := n
		if protocol == "rtmp" {
			held = r.rtmpd.Stats().Connections
		}
		each := (memory() - before) / int64(max(held, 1))
		refused := uint64(0)
		need.Until(t, "those beyond the bound are refused", func() bool {
			refused = r.refusedBecause(protocol, "too_many_connections")
			return refused > 0
		})
		t.Logf("%s: %d of %d connections refused, %d bytes a connection", protocol, refused, n+n/10, each)
		if held > n || refused > uint64(n/10) {
			t.Errorf("%s: %d held and %d refused of %d, the limit is %d", protocol, held, refused, n+n/10, n)
		}
		if each > 96<<10 {
			t.Errorf("%s: %d bytes a connection, want 96 KiB at most", protocol, each)
		}
		release()
		need.Until(t, "a place for somebody else", func() bool {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return false
			}
			defer c.Close()
			if protocol == "rtmp" {
				_, _ = c.Write(append([]byte{3}, make([]byte, 1536)...))
			} else {
				_, _ = io.WriteString(c, "GET /healthz HTTP/1.0\r\n\r\n")
			}
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			k, _ := c.Read(make([]byte, 1))
			return k == 1
		})
	}
}

// refusedBecause reads one of the counters.
func (r *Relay) refusedBecause(protocol, reason string) uint64 {
	for _, f := range r.Refused() {
		if f.Protocol == protocol && f.Reason == reason {
			return f.Count
		}
	}
	return 0
}

// dialAndHold has another process connect n times and say nothing, until release is called.
func dialAndHold(t *testing.T, addr string, n int) (release func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestClientOfIdleConnections$")
	cmd.Env = append(os.Environ(), "FAIRLEAD_TEST_DIAL="+addr, "FAIRLEAD_TEST_DIALS="+strconv.Itoa(n))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() { _ = in.Close(); _ = cmd.Wait() })
	t.Cleanup(release)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "dialled\n" {
		t.Fatalf("the clients say %q, %v", line, err)
	}
	return release
}

// The other process of TestIdleConnectionsAreBounded.
func TestClientOfIdleConnections(t *testing.T) {
	addr := os.Getenv("FAIRLEAD_TEST_DIAL")
	if addr == "" {
		return
	}
	n, err := strconv.Atoi(os.Getenv("FAIRLEAD_TEST_DIALS"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	conns := make([]net.Conn, n)
	for i := range 8 {
		wg.Go(func() {
			for k := i; k < n; k += 8 {
				conns[k], _ = net.Dial("tcp", addr) // nil: reset before the dialler looked
			}
		})
	}
	wg.Wait()
	fmt.Println("dialled")
	_, _ = io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(conns)
}

// memory is what the heap and the stacks hold.
func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// The bound of one address leaves room for others.
func TestNobodyTakesEveryPlace(t *testing.T) {
	told, counted := 0, 0
	c := newCrowd(8, func() { counted++ }, func(string, uint64) { told++ })
	var in []net.Conn
	dial := func(from string) {
		a, b := net.Pipe()
		_ = b.Close()
		conn := &fromAddr{a, from}
		in = append(in, conn)
		c.state(conn, http.StateNew)
	}
	for range 5 {
		dial("192.0.2.1:1000")
	}
	dial("[2001:db8::1]:5")
	dial("[2001:db8::2]:5")
	dial("[2001:db8::3]:5") // the same /64
	for range 9 {
		dial("127.0.0.1:7")
	}
	if len(c.in) != 8 || c.refused != 9 || c.from[neighbourhood(in[0].RemoteAddr())] != 2 || told != 1 || counted != 9 {
		t.Errorf("%d in, %d refused, told %d, from %v", len(c.in), c.refused, told, c.from)
	}
	for _, conn := range in {
		c.state(conn, http.StateClosed)
		c.state(conn, http.StateClosed)
	}
	if len(c.in)+len(c.from) != 0 {
		t.Errorf("left behind: %v %v", c.in, c.from)
	}
}

type fromAddr struct {
	net.Conn
	from string
}

func (f *fromAddr) RemoteAddr() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", f.from)
	return a
}
