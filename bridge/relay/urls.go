package relay

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bridge/api"
	"github.com/fairlead-live/fairlead/bridge/config"
)

// suggestedLatency is what the printed URLs ask for: four round trips of a 75 ms mobile link. ffmpeg's and OBS's own
// default of 120 ms is short of two.
const suggestedLatency = 300 * time.Millisecond

// anyName stands for a name in the addresses of a relay whose publishers are admitted by more than keys.
const anyName = "APP/KEY"

// WriteURLs writes, for every key, the exact lines to paste into an encoder or a player.
func (r *Relay) WriteURLs(w io.Writer) {
	keys, generated := r.Keys()
	stream, use := "", ""
	for _, a := range r.Addresses() {
		if a.Stream != stream || a.Use != use {
			note := ""
			if a.Use == "publish" {
				fmt.Fprintln(w)
				if generated && a.Stream == keys[0] {
					note = fmt.Sprintf("   (generated for this run; keep it with --key %s)", a.Stream)
				}
			}
			fmt.Fprintf(w, "%s %s%s\n", a.Use, a.Stream, note)
			stream, use = a.Stream, a.Use
		}
		note := ""
		if a.Note != "" {
			note = "   (" + a.Note + ")"
		}
		fmt.Fprintf(w, "  %-21s %s%s\n", a.Label, a.URL, note)
	}
	fmt.Fprintln(w)
}

// Addresses returns what to paste into encoders and players, for every key.
func (r *Relay) Addresses() (all []api.Address) {
	cfg := r.config()
	names := r.Names()
	if len(names) == 0 {
		names = []string{anyName}
	}
	for _, name := range names {
		add := func(use, label, note, format string, args ...any) {
			all = append(all, api.Address{Stream: name, Use: use, Label: label, URL: fmt.Sprintf(format, args...), Note: note})
		}
		r.publishing(&cfg, name, add)
		if r.http != nil {
			add("watch", "HTTP-FLV", "in WebSocket messages under ws://", "%s", r.FLVURL(name))
			add("watch", "HTTP-TS", "", "%s", strings.TrimSuffix(r.FLVURL(name), "flv")+"ts")
		}
		if r.rtmp != nil {
			add("watch", "RTMP", "", "rtmp://%s/%s", hostPort(r.rtmp.Addr(), "1935"), name)
		}
	}
	return all
}

func (r *Relay) publishing(cfg *config.Relay, name string, add func(use, label, note, format string, args ...any)) {
	i := strings.LastIndexByte(name, '/')
	app, key := name[:i], name[i+1:]
	// A key with a secret, or a name that only a credential admits: the address says where it goes.
	secret := !slices.Contains(cfg.Key, name) && (cfg.HasAuth() || len(cfg.Key) > 0)
	token, query, streamID := "", "", "publish:"+name
	if secret {
		token, query, streamID = "&token=SECRET", "?token=SECRET", "publish:"+name+":user:SECRET"
	}
	if r.quic != nil {
		add("publish", "fairlead, QUIC", "", "fairlead push INPUT '%s%s'", r.QUICURL(name), token)
	}
	if r.srt != nil {
		base := fmt.Sprintf("srt://%s?streamid=%s", hostPort(r.srt.Addr(), ""), streamID)
		pass := ""
		if cfg.SRTPassphrase != "" {
			pass = "&passphrase=" + cfg.SRTPassphrase
		}
		us := fmt.Sprintf("%s&latency=%d%s", base, suggestedLatency.Microseconds(), pass)
		ms := fmt.Sprintf("%s&latency=%d%s", base, suggestedLatency.Milliseconds(), pass)
		add("publish", "OBS, SRT", "Stream Key empty; OBS takes latency in µs", "Server %s", us)
		add("publish", "ffmpeg, SRT", "ffmpeg takes latency in µs", "ffmpeg -re -i INPUT -c copy -f mpegts -pes_payload_size 0 '%s'", us)
		add("publish", "srt-live-transmit", "libsrt's tools take latency in ms", "srt-live-transmit udp://:5000 '%s'", ms)
	}
	if r.rtmp != nil {
		host := hostPort(r.rtmp.Addr(), "1935")
		add("publish", "OBS, RTMP", "", "Server rtmp://%s/%s   Stream Key %s%s", host, app, key, query)
		add("publish", "ffmpeg, RTMP", "", "ffmpeg -re -i INPUT -c copy -f flv 'rtmp://%s/%s%s'", host, name, query)
	}
	if r.rtmps != nil {
		host := hostPort(r.rtmps.Addr(), "443")
		add("publish", "OBS, RTMPS", "OBS wants a certificate that this machine trusts", "Server rtmps://%s/%s   Stream Key %s%s", host, app, key, query)
		add("publish", "ffmpeg, RTMPS", "", "ffmpeg -re -i INPUT -c copy -f flv 'rtmps://%s/%s%s'", host, name, query)
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
