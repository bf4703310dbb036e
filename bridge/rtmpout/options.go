package rtmpout

import (
	crand "crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bridge/auth"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmp"
)

// Options are what a destination's address may say about it behind a '#', which is never sent:
//
//	rtmp://cdn.example/app/key#codecs=h264,aac&hevc=12&audio=silence&sign=tencent:env:SIGN_KEY&sign-for=1h
type Options struct {
	// Codecs the destination takes; empty: all. A picture of another codec is not pushed at all, and the output says so; sound of another
	// codec is left out.
	Codecs []media.Codec
	// HEVC12 sends H.265 as codec 12 of old FLV, not as Enhanced RTMP.
	HEVC12 bool
	// Silence puts AAC silence beside a picture that has no sound the destination takes.
	Silence bool

	sign *signer // nil: the address goes as it is
}

// signer signs an address at each connect.
type signer struct {
	template *auth.Template
	key      string // or env:NAME, file:PATH, read at each connect
	valid    time.Duration
}

// defaultSignFor is how long a signature is good whose template says when it ends: a day's show, and clocks that differ. Ours; it is looked at
// when the connection is made.
const defaultSignFor = 24 * time.Hour

var codecWords = map[string]media.Codec{
	"h264": media.H264, "h265": media.H265, "hevc": media.H265, "av1": media.AV1, "aac": media.AAC, "opus": media.Opus, "mp3": media.MP3,
}

// ParseOptions splits an address from its options. Errors wrap rtmp.ErrURL and contain no secret.
func ParseOptions(address string) (plain string, o Options, err error) {
	plain, text, has := strings.Cut(address, "#")
	if !has {
		return plain, o, nil
	}
	q, err := url.ParseQuery(text)
	if err != nil {
		return plain, o, fmt.Errorf("%w: what is behind its # is not word=value&word=value", rtmp.ErrURL)
	}
	bad := func(word, want string) error { return fmt.Errorf("%w: %s= wants %s", rtmp.ErrURL, word, want) }
	valid := defaultSignFor
	for word, values := range q {
		v := values[0]
		if len(values) > 1 {
			return plain, o, bad(word, "one value")
		}
		switch word {
		case "codecs":
			for name := range strings.SplitSeq(strings.ToLower(v), ",") {
				c, ok := codecWords[name]
				if !ok {
					return plain, o, bad(word, "h264, h265, av1, aac, opus, mp3 with commas between them")
				}
				o.Codecs = append(o.Codecs, c)
			}
		case "hevc":
			if o.HEVC12 = v == "12"; v != "12" && v != "enhanced" {
				return plain, o, bad(word, "12 or enhanced")
			}
		case "audio":
			if o.Silence = v == "silence"; v != "silence" && v != "none" {
				return plain, o, bad(word, "silence or none")
			}
		case "sign":
			if o.sign, err = newSigner(v); err != nil {
				return plain, o, err
			}
		case "sign-for":
			if valid, err = time.ParseDuration(v); err != nil || valid < time.Minute || valid > 366*24*time.Hour {
				return plain, o, bad(word, "a time such as 1h, from 1m to a year")
			}
		default:
			return plain, o, fmt.Errorf("%w: behind its # is %q, which is none of codecs, hevc, audio, sign, sign-for", rtmp.ErrURL, word)
		}
	}
	if o.sign != nil {
		o.sign.valid = valid
	}
	return plain, o, nil
}

func newSigner(v string) (*signer, error) {
	name, key, _ := strings.Cut(v, ":")
	t, ok := auth.Vendor(name)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: sign=%s: none of %s", rtmp.ErrURL, name, auth.Vendors())
	case strings.Contains(t.Message, "{ip}"):
		return nil, fmt.Errorf("%w: sign=%s covers our address as the server sees it, which nobody knows here", rtmp.ErrURL, name)
	case key == "":
		return nil, fmt.Errorf("%w: sign=%s: want TEMPLATE:KEY, TEMPLATE:env:NAME or TEMPLATE:file:PATH", rtmp.ErrURL, name)
	}
	s := &signer{template: t, key: key}
	_, err := s.secret()
	return s, err
}

func (s *signer) secret() (string, error) {
	key, err := auth.Secret(s.key)
	if err != nil {
		return "", fmt.Errorf("%w: sign=%s: %w", rtmp.ErrURL, s.template.Name, err)
	}
	return key, nil
}

// signed returns the target with a signature of now behind its key.
func (s *signer) signed(t rtmp.Target, now time.Time) (rtmp.Target, error) {
	key, err := s.secret()
	if err != nil {
		return t, err
	}
	at := now
	if s.template.Valid == 0 { // it says when it ends
		at = now.Add(s.valid)
	}
	random := make([]byte, 16)
	_, _ = crand.Read(random) // never fails
	stream, _, hasQuery := strings.Cut(t.Key, "?")
	app, _, _ := strings.Cut(t.App, "?")
	mark := "?"
	if hasQuery {
		mark = "&"
	}
	t.Key += mark + s.template.Sign(key, auth.Params{Path: "/" + app + "/" + stream, Stream: stream, Time: at, Rand: hex.EncodeToString(random)})
	return t, nil
}

// takes reports whether the destination takes a codec.
func (o *Options) takes(c media.Codec) bool {
	return len(o.Codecs) == 0 || slices.Contains(o.Codecs, c)
}

// unfit is the reason why a stream with these tracks is not pushed, nil when it is.
func (o *Options) unfit(tracks []*media.Config) error {
	var have []string
	some := false
	for _, c := range tracks {
		if !o.takes(c.Codec) {
			have = append(have, c.Codec.String())
			if c.Codec.IsVideo() { // sound without the picture is not the stream
				return fmt.Errorf("%w: it takes %s, the stream is %v", errUnfit, o.list(), c.Codec)
			}
			continue
		}
		some = true
	}
	if !some && len(have) > 0 {
		return fmt.Errorf("%w: it takes %s, the stream is %s", errUnfit, o.list(), strings.Join(have, ", "))
	}
	return nil
}

func (o *Options) list() string {
	names := make([]string, len(o.Codecs))
	for i, c := range o.Codecs {
		names[i] = c.String()
	}
	return strings.Join(names, ", ")
}

// silentTrack is the track number of silence: no stream of the hub has it.
const silentTrack = 0xff

// silence fills in for the sound that a stream does not have.
type silence struct{ media.Quiet }

// newSilence begins at a time of the stream. AAC LC, 48 kHz, mono: what every tier takes.
func newSilence(at time.Duration) *silence {
	c, err := media.NewAACConfig([]byte{0x11, 0x88})
	if err != nil {
		panic(err) // a constant
	}
	s := &silence{}
	s.Quiet, _ = media.NewQuiet(c, silentTrack, at)
	return s
}

// next returns the next unit up to a time of the stream, nil when there is none. Times are counted in samples: they do not drift.
func (s *silence) next(until time.Duration) *media.Frame {
	if s.Due() > until {
		return nil
	}
	return s.Next()
}
