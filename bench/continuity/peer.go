package continuity

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Peer is a relay to test: how to start one that takes live/cam at one address and pushes it to two others.
type Peer struct {
	Name    string
	Program string // path
	// Files are written before it starts, Args are its command line; both with {dir}, {in}, {port}, {a} and {b} in them: a folder of its own,
	// where it listens (HOST:PORT and PORT), and the two destinations (rtmp://…).
	Files map[string]string
	Args  []string
}

// Fairlead is the relay of the program at path.
func Fairlead(path string) Peer {
	return Peer{Name: "fairlead", Program: path, Args: []string{"relay", "--srt", "", "--quic", "", "--http", "", "--api", "", "--rtmp", "{in}",
		"--key", "live/cam", "--push", "live/cam={a}", "--push", "live/cam={b}", "--log", "info"}}
}

// Peers returns the other relays whose programs are here: nginx with its RTMP module, and MediaMTX and SRS when on PATH. missing names the rest.
func Peers() (found []Peer, missing []string) {
	add := func(p Peer, program string) {
		path, err := exec.LookPath(program)
		if err != nil {
			missing = append(missing, p.Name)
			return
		}
		p.Program = path
		found = append(found, p)
	}
	if module := nginxModule(); module != "" {
		add(Peer{Name: "nginx-rtmp", Args: []string{"-e", "{dir}/nginx.log", "-p", "{dir}", "-c", "{dir}/nginx.conf"}, Files: map[string]string{"nginx.conf": `
load_module ` + module + `;
daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/nginx.log;
events { worker_connections 64; }
rtmp { server { listen {in}; chunk_size 4096; application live { live on; push {a}; push {b}; } } }
`}}, "nginx")
	} else {
		missing = append(missing, "nginx-rtmp")
	}
	add(Peer{Name: "mediamtx", Args: []string{"{dir}/mediamtx.yml"}, Files: map[string]string{"mediamtx.yml": `
rtsp: no
hls: no
webrtc: no
srt: no
rtmpAddress: "{in}"
paths:
  all_others:
    forward:
    - dest: {a}
    - dest: {b}
`}}, "mediamtx")
	add(Peer{Name: "srs", Args: []string{"-c", "{dir}/srs.conf"}, Files: map[string]string{"srs.conf": `
listen {port}; max_connections 100; daemon off; srs_log_tank console; pid {dir}/srs.pid;
vhost __defaultVhost__ { tcp_nodelay on; min_latency on; forward { enabled on; destination {ahost} {bhost}; } }
`}}, "srs")
	return found, missing
}

// nginxModule finds nginx's RTMP module where distributions put it.
func nginxModule() string {
	for _, dir := range []string{"/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules", "/etc/nginx/modules"} {
		if f := filepath.Join(dir, "ngx_rtmp_module.so"); exists(f) {
			return f
		}
	}
	return ""
}

func exists(f string) bool {
	_, err := os.Stat(f)
	return err == nil
}

// start starts the relay in dir. in: HOST:PORT to listen on; a, b: HOST:PORT of the tiers.
func (p *Peer) start(dir, in, a, b string, log *os.File) (*exec.Cmd, error) {
	_, port, err := net.SplitHostPort(in)
	if err != nil {
		return nil, err
	}
	fill := strings.NewReplacer("{dir}", dir, "{in}", in, "{port}", port, "{a}", "rtmp://"+a+"/live/cam", "{b}", "rtmp://"+b+"/live/cam", "{ahost}", a, "{bhost}", b)
	for name, text := range p.Files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(fill.Replace(text)), 0o600); err != nil {
			return nil, err
		}
	}
	var args []string
	for _, a := range p.Args {
		args = append(args, fill.Replace(a))
	}
	program, err := filepath.Abs(p.Program)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log // MediaMTX leaves files where it starts
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("continuity: %s: %w", p.Name, err)
	}
	return cmd, nil
}
