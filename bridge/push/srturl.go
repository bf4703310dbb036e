package push

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/srt"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

// srtWords are the parameters of an srt:// URL; names are libsrt's.
var srtWords = []string{"streamid", "latency", "passphrase", "pbkeylen", "cryptomode", "packetfilter", "maxbw", "inputbw", "oheadbw", "mode", "transtype", "pkt_size"}

// parseSRT reads srt://HOST:PORT?streamid=…&….
func parseSRT(raw string) (addr string, cfg srtlink.DialConfig, err error) {
	// SRT's access control begins stream ids with "#!::", which people paste as it is.
	u, err := url.Parse(strings.Replace(raw, "streamid=#", "streamid=%23", 1))
	if err != nil || u.Port() == "" || u.Hostname() == "" {
		return "", cfg, fmt.Errorf("%w: %q is not srt://HOST:PORT?streamid=…", config.ErrUsage, raw)
	}
	for word, values := range u.Query() {
		if !slices.Contains(srtWords, word) {
			return "", cfg, fmt.Errorf("%w: %q is not one of %s", config.ErrUsage, word, strings.Join(srtWords, ", "))
		}
		if err := srtWord(&cfg, word, values[0]); err != nil {
			return "", cfg, fmt.Errorf("%w: %w", config.ErrUsage, err)
		}
	}
	if err := cfg.Validate(); err != nil {
		return "", cfg, fmt.Errorf("%w: %w", config.ErrUsage, err)
	}
	return u.Host, cfg, nil
}

func srtWord(cfg *srtlink.DialConfig, word, v string) (err error) {
	switch word {
	case "streamid":
		cfg.StreamID = v
	case "passphrase":
		cfg.Passphrase = v
	case "latency":
		if cfg.Latency, err = time.ParseDuration(v); err != nil {
			return fmt.Errorf("latency %q has no unit; write 300ms (ffmpeg means µs, libsrt's tools ms)", v)
		}
	case "packetfilter":
		cfg.Filter = v
	case "pbkeylen":
		if cfg.KeyLen, err = strconv.Atoi(v); err != nil {
			return fmt.Errorf("pbkeylen: %q is not 16, 24 or 32", v)
		}
	case "cryptomode":
		if v != "ctr" && v != "gcm" {
			return fmt.Errorf("cryptomode: %q is not ctr or gcm", v)
		}
		cfg.GCM = v == "gcm"
	case "maxbw":
		switch v {
		case "-1": // no limit
		case "0":
			cfg.MaxBW = srt.Relative
		default:
			cfg.MaxBW, err = srtRate(word, v)
		}
	case "inputbw":
		cfg.InputBW, err = srtRate(word, v)
	case "oheadbw":
		if cfg.Overhead, err = strconv.Atoi(v); err != nil || cfg.Overhead < 5 || cfg.Overhead > 100 {
			return fmt.Errorf("oheadbw: %q is not a number of percent from 5 to 100", v)
		}
	case "mode", "transtype", "pkt_size":
		if want := map[string]string{"mode": "caller", "transtype": "live", "pkt_size": "1316"}[word]; v != want {
			return fmt.Errorf("%s: %q; only %s is possible here", word, v, want)
		}
	}
	return err
}

// srtRate reads 6M or 800k: bits per second. A bare number means bytes in libsrt and bits elsewhere, so that none is taken.
func srtRate(word, v string) (congestion.Bitrate, error) {
	number, unit := v[:max(len(v)-1, 0)], v[max(len(v)-1, 0):]
	scale := map[string]float64{"k": 1e3, "K": 1e3, "m": 1e6, "M": 1e6}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || scale == 0 || n*scale < 50e3 || n*scale > 1e9 {
		return 0, fmt.Errorf("%s: %q is not a bitrate from 50k to 1000M with its unit, as in 6M (bit/s; a bare number means bytes in libsrt)", word, v)
	}
	return congestion.Bitrate(n * scale), nil
}
