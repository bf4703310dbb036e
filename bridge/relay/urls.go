package relay

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// suggestedLatency is what the printed URLs ask for: four round trips of a 75 ms mobile link. ffmpeg's and OBS's own
// default of 120 ms is short of two.
const suggestedLatency = 300 * time.Millisecond

// WriteURLs writes, for every key, the exact lines to paste into an encoder or a player.
func (r *Relay) WriteURLs(w io.Writer) {
	keys, generated := r.Keys()
	for _, name := range keys {
		note := ""
		if generated {
			note = fmt.Sprintf("   (generated for this run; keep it with --key %s)", name)
		}
		fmt.Fprintf(w, "\npublish %s%s\n", name, note)
		r.writePublish(w, name)
		fmt.Fprintf(w, "watch %s\n", name)
		if r.http != nil {
			fmt.Fprintf(w, "  HTTP-FLV              %s\n", r.FLVURL(name))
		}
		if r.rtmp != nil {
			fmt.Fprintf(w, "  RTMP                  rtmp://%s/%s\n", hostPort(r.rtmp.Addr(), "1935"), name)
		}
	}
	fmt.Fprintln(w)
}

func (r *Relay) writePublish(w io.Writer, name string) {
	i := strings.LastIndexByte(name, '/')
	app, key := name[:i], name[i+1:]
	if r.quic != nil {
		fmt.Fprintf(w, "  fairlead, QUIC        fairlead push INPUT '%s'\n", r.QUICURL(name))
	}
	if r.srt != nil {
		base := fmt.Sprintf("srt://%s?streamid=publish:%s", hostPort(r.srt.Addr(), ""), name)
		pass := ""
		if r.cfg.SRTPassphrase != "" {
			pass = "&passphrase=" + r.cfg.SRTPassphrase
		}
		us := fmt.Sprintf("%s&latency=%d%s", base, suggestedLatency.Microseconds(), pass)
		ms := fmt.Sprintf("%s&latency=%d%s", base, suggestedLatency.Milliseconds(), pass)
		fmt.Fprintf(w, "  OBS, SRT              Server %s   (Stream Key empty; OBS takes latency in µs)\n", us)
		fmt.Fprintf(w, "  ffmpeg, SRT           ffmpeg -re -i INPUT -c copy -f mpegts -pes_payload_size 0 '%s'   (ffmpeg takes latency in µs)\n", us)
		fmt.Fprintf(w, "  srt-live-transmit     srt-live-transmit udp://:5000 '%s'   (libsrt's tools take latency in ms)\n", ms)
	}
	if r.rtmp != nil {
		host := hostPort(r.rtmp.Addr(), "1935")
		fmt.Fprintf(w, "  OBS, RTMP             Server rtmp://%s/%s   Stream Key %s\n", host, app, key)
		fmt.Fprintf(w, "  ffmpeg, RTMP          ffmpeg -re -i INPUT -c copy -f flv rtmp://%s/%s\n", host, name)
	}
}

// QUICURL returns where a stream is published over QUIC; with our key's pin when no authority vouches for it.
func (r *Relay) QUICURL(name string) string {
	pin, selfSigned := r.quic.Pin()
	if pin = "&pin=" + pin; !selfSigned {
		pin = ""
	}
	return fmt.Sprintf("fairlead://%s/%s?latency=%s%s", hostPort(r.quic.Addr(), ""), name, suggestedLatency, pin)
}

// FLVURL returns where a stream is served as HTTP-FLV.
func (r *Relay) FLVURL(name string) string {
	return fmt.Sprintf("http://%s/%s.flv", hostPort(r.http.Addr(), "80"), name)
}

// hostPort makes an address to paste: a wildcard becomes this machine's first address that others can reach; the default
// port is left out.
func hostPort(a net.Addr, defaultPort string) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = reachable()
	}
	if port == defaultPort {
		if strings.Contains(host, ":") {
			return "[" + host + "]"
		}
		return host
	}
	return net.JoinHostPort(host, port)
}

func reachable() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "localhost"
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return "localhost"
}
