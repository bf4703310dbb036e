package auth

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Template is a way to sign URLs that ends in a few query parameters, as CDN vendors document theirs.
//
// Message and Query are texts with places: {key}, {path} (/app/stream, with .flv for play over HTTP), {app}, {stream},
// {time}, {rand}, {uid}, {ip} and, in Query only, {sig}. The signature is over the message; under an hmac- algorithm the
// key is the HMAC's.
type Template struct {
	Name      string
	Algorithm string // md5, sha1, sha256, hmac-md5, hmac-sha1, hmac-sha256
	Message   string
	Query     string
	Base      int           // of {time}: 10 or 16
	Upper     bool          // {time} in capitals
	Encoding  string        // of {sig}: hex or base64url
	KeyIsHex  bool          // the HMAC key is given in hex
	Valid     time.Duration // {time} is when it was signed, good for so long; 0: {time} is the expiry
	Early     bool          // {time} may also be up to Valid in the future (a clock that is wrong both ways)

	message, query text
	fields         map[string]*regexp.Regexp
	whole          map[string]place // fields that are one place
}

// Params are what a signature covers beside the key.
type Params struct {
	Path   string // /app/stream
	Time   time.Time
	Rand   string
	UID    string
	IP     string
	Stream string // empty: the last part of Path without its suffix
}

// place is where a value stands in a template's text.
type place uint8

const (
	placeKey place = iota
	placePath
	placeApp
	placeStream
	placeTime
	placeRand
	placeUID
	placeIP
	placeSig
	numPlaces
)

var placeNames = [numPlaces]string{"key", "path", "app", "stream", "time", "rand", "uid", "ip", "sig"}

// values of the places.
type values [numPlaces]string

func (p *Params) values(t *Template, key string) (v values) {
	v[placeStream] = p.Stream
	if p.Stream == "" {
		s := p.Path[strings.LastIndexByte(p.Path, '/')+1:]
		v[placeStream] = strings.TrimSuffix(strings.TrimSuffix(s, ".flv"), ".ts")
	}
	v[placeApp], _, _ = strings.Cut(strings.TrimPrefix(p.Path, "/"), "/")
	v[placeTime] = strconv.FormatInt(p.Time.Unix(), t.Base)
	if t.Upper {
		v[placeTime] = strings.ToUpper(v[placeTime])
	}
	if v[placeUID] = p.UID; p.UID == "" {
		v[placeUID] = "0"
	}
	v[placeKey], v[placePath], v[placeRand], v[placeIP] = key, p.Path, p.Rand, p.IP
	return v
}

// text is a template's text taken apart: literals[i] stands before places[i], the last literal behind all.
type text struct {
	literals []string
	places   []place
}

var placePattern = regexp.MustCompile(`\{[a-z]+\}`)

func parseText(s string) (text, error) {
	var t text
	last := 0
	for _, at := range placePattern.FindAllStringIndex(s, -1) {
		i := slices.Index(placeNames[:], s[at[0]+1:at[1]-1])
		if i < 0 {
			return text{}, fmt.Errorf("%s is none of {%s}", s[at[0]:at[1]], strings.Join(placeNames[:], "} {"))
		}
		t.literals = append(t.literals, s[last:at[0]])
		t.places = append(t.places, place(i))
		last = at[1]
	}
	t.literals = append(t.literals, s[last:])
	return t, nil
}

func (t *text) fill(dst []byte, v *values) []byte {
	for i, p := range t.places {
		dst = append(dst, t.literals[i]...)
		dst = append(dst, v[p]...)
	}
	return append(dst, t.literals[len(t.places)]...)
}

// ErrTemplate is wrapped by a template that cannot work.
var ErrTemplate = errors.New("auth: signing template")

// compile checks a template and prepares it for Verify.
func (t *Template) compile() error {
	if t.digest() == nil {
		return fmt.Errorf("%w %s: algorithm %q is none of md5, sha1, sha256, hmac-md5, hmac-sha1, hmac-sha256", ErrTemplate, t.Name, t.Algorithm)
	}
	if t.Base != 10 && t.Base != 16 {
		return fmt.Errorf("%w %s: base %d of the time is neither 10 nor 16", ErrTemplate, t.Name, t.Base)
	}
	if t.Encoding != "hex" && t.Encoding != "base64url" {
		return fmt.Errorf("%w %s: encoding %q is neither hex nor base64url", ErrTemplate, t.Name, t.Encoding)
	}
	var err error
	if t.message, err = parseText(t.Message); err != nil {
		return fmt.Errorf("%w %s: message: %w", ErrTemplate, t.Name, err)
	}
	if t.query, err = parseText(t.Query); err != nil {
		return fmt.Errorf("%w %s: query: %w", ErrTemplate, t.Name, err)
	}
	if !strings.Contains(t.Query, "{sig}") || !strings.Contains(t.Query, "{time}") || strings.Contains(t.Query, "{key}") || strings.Contains(t.Message, "{sig}") {
		return fmt.Errorf("%w %s: the query needs {sig} and {time} and not {key}; the message cannot have {sig}", ErrTemplate, t.Name)
	}
	t.fields, t.whole = map[string]*regexp.Regexp{}, map[string]place{}
	for part := range strings.SplitSeq(t.Query, "&") {
		name, pattern, _ := strings.Cut(part, "=")
		var re strings.Builder
		re.WriteString("^")
		last := 0
		for _, at := range placePattern.FindAllStringIndex(pattern, -1) {
			re.WriteString(regexp.QuoteMeta(pattern[last:at[0]]))
			class := `[^~-]*?`
			switch pattern[at[0]:at[1]] {
			case "{path}", "{stream}", "{app}":
				class = `[^~]*?`
			case "{sig}":
				class = `[A-Za-z0-9_-]+`
			}
			fmt.Fprintf(&re, "(?P<%s>%s)", pattern[at[0]+1:at[1]-1], class)
			last = at[1]
		}
		re.WriteString(regexp.QuoteMeta(pattern[last:]) + "$")
		compiled, err := regexp.Compile(re.String())
		if err != nil {
			return fmt.Errorf("%w %s: %w", ErrTemplate, t.Name, err)
		}
		t.fields[name] = compiled
		if at := placePattern.FindString(pattern); at == pattern && at != "" {
			t.whole[name] = place(slices.Index(placeNames[:], at[1:len(at)-1]))
		}
	}
	return nil
}

// fitsPlace is what the field's expression says of a value that is one place.
func fitsPlace(p place, value string) bool {
	switch p {
	case placeSig:
		for i := range len(value) {
			c := value[i] | 0x20
			if (c < 'a' || c > 'z') && (value[i] < '0' || value[i] > '9') && value[i] != '_' && value[i] != '-' {
				return false
			}
		}
		return value != ""
	case placePath, placeStream, placeApp:
		return !strings.Contains(value, "~")
	}
	return !strings.ContainsAny(value, "~-")
}

func (t *Template) digest() func() hash.Hash {
	switch strings.TrimPrefix(t.Algorithm, "hmac-") {
	case "md5":
		return md5.New
	case "sha1":
		return sha1.New
	case "sha256":
		return sha256.New
	}
	return nil
}

// signature is over a filled-in message.
func (t *Template) signature(dst []byte, key string, message []byte) []byte {
	var room [sha256.Size]byte
	sum := room[:0]
	switch {
	case strings.HasPrefix(t.Algorithm, "hmac-"):
		k := []byte(key)
		if t.KeyIsHex {
			k, _ = hex.DecodeString(key)
		}
		h := hmac.New(t.digest(), k)
		h.Write(message)
		sum = h.Sum(sum)
	default:
		h := t.digest()()
		h.Write(message)
		sum = h.Sum(sum)
	}
	if t.Encoding == "base64url" {
		return base64.RawURLEncoding.AppendEncode(dst, sum)
	}
	return hex.AppendEncode(dst, sum)
}

// Sign returns the query to put behind the URL.
func (t *Template) Sign(key string, p Params) string {
	v := p.values(t, key)
	var message [256]byte
	var sig [64]byte
	v[placeSig] = string(t.signature(sig[:0], key, t.message.fill(message[:0], &v)))
	return string(t.query.fill(nil, &v))
}

// signed verifies URLs signed under any of the keys (main and backup).
type signed struct {
	t    *Template
	keys []string
}

func (s signed) check(_ context.Context, now time.Time, r *Request) (grant, error) {
	q, err := url.ParseQuery(r.Query)
	if err != nil {
		return grant{}, errNext
	}
	var got values
	for name, re := range s.t.fields {
		value := q.Get(name)
		if value == "" {
			return grant{}, errNext
		}
		if p, ok := s.t.whole[name]; ok && len(value) <= 512 && fitsPlace(p, value) { // most fields: nothing to take apart
			got[p] = value
			continue
		}
		m := re.FindStringSubmatch(value)
		if len(value) > 512 || m == nil {
			return grant{}, deny(BadSignature, "%s: %s is not %s", s.t.Name, name, re)
		}
		for i, name := range re.SubexpNames() {
			if name != "" {
				got[slices.Index(placeNames[:], name)] = m[i]
			}
		}
	}
	unix, err := strconv.ParseInt(got[placeTime], s.t.Base, 64)
	if err != nil {
		return grant{}, deny(BadSignature, "%s: the time %q is no number of base %d", s.t.Name, got[placeTime], s.t.Base)
	}
	p := Params{Path: r.path(), Stream: r.stream(), Time: time.Unix(unix, 0), Rand: got[placeRand], UID: got[placeUID], IP: r.Peer.Unmap().String()}
	good := false
	v := p.values(s.t, "")
	v[placeTime] = got[placeTime] // as it was written
	var message [256]byte
	var sig [64]byte
	for _, key := range s.keys {
		v[placeKey] = key
		good = hmac.Equal(s.t.signature(sig[:0], key, s.t.message.fill(message[:0], &v)), []byte(got[placeSig])) || good
	}
	if !good {
		return grant{}, deny(BadSignature, "%s: the signature is not for %s under our key", s.t.Name, r.path())
	}
	expiry := time.Unix(unix, 0).Add(s.t.Valid)
	if !now.Before(expiry) {
		return grant{}, deny(Expired, "%s: the URL ended at %s", s.t.Name, expiry.UTC().Format(time.RFC3339))
	}
	if s.t.Valid > 0 {
		early := time.Minute // clocks that differ a little
		if s.t.Early {
			early = s.t.Valid
		}
		if time.Unix(unix, 0).After(now.Add(early)) {
			return grant{}, deny(NotYet, "%s: the URL was signed for %s", s.t.Name, time.Unix(unix, 0).UTC().Format(time.RFC3339))
		}
	}
	if got[placeRand] == "" || got[placeRand] == "0" {
		return grant{}, nil
	}
	return grant{id: s.t.Name + "|" + r.path() + "|" + got[placeSig], expiry: expiry}, nil
}
