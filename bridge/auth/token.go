package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"
	"sync"
	"time"
)

// tokenPrefix starts a token of ours; the digit is the format's version.
const tokenPrefix = "f1."

func isToken(s string) bool { return strings.HasPrefix(s, tokenPrefix) }

// Token makes an expiring token for one stream, or for every stream of an app when name is "app/*". once binds it to the
// first address that uses it.
//
//	f1.EXPIRY.ACTIONS.NONCE.SIGNATURE
//
// EXPIRY is Unix time in hex; ACTIONS p (publish), w (watch) or pw; NONCE 12 random bytes or empty; SIGNATURE is
// HMAC-SHA256 over the first four parts, a line feed and the name; the last two are base64url without padding.
func Token(secret []byte, name string, publish, play, once bool, expiry time.Time) string {
	actions := ""
	if publish {
		actions += "p"
	}
	if play {
		actions += "w"
	}
	nonce := ""
	if once {
		var b [12]byte
		rand.Read(b[:])
		nonce = base64.RawURLEncoding.EncodeToString(b[:])
	}
	head := tokenPrefix + strconv.FormatInt(expiry.Unix(), 16) + "." + actions + "." + nonce
	return head + "." + tokenSignature(secret, head, name)
}

func tokenSignature(secret []byte, head, name string) string {
	return string(newMAC(secret).sign(nil, head, name))
}

// mac signs under one secret; the keyed hashes are kept.
type mac struct{ pool sync.Pool }

func newMAC(secret []byte) *mac {
	return &mac{sync.Pool{New: func() any { return &keyed{h: hmac.New(sha256.New, secret)} }}}
}

type keyed struct {
	h   hash.Hash
	in  []byte
	sum [sha256.Size]byte
}

func (m *mac) sign(dst []byte, head, name string) []byte {
	k := m.pool.Get().(*keyed)
	defer m.pool.Put(k)
	k.h.Reset()
	k.in = append(append(append(k.in[:0], head...), '\n'), name...)
	k.h.Write(k.in)
	return base64.RawURLEncoding.AppendEncode(dst, k.h.Sum(k.sum[:0]))
}

// fields cuts a token at its four dots.
func fields(s string) (parts [5]string, ok bool) {
	for i := range parts {
		var more bool
		if parts[i], s, more = strings.Cut(s, "."); more != (i < len(parts)-1) {
			return parts, false
		}
	}
	return parts, true
}

// tokens verifies what Token makes, under any of the secrets: the second is the one being phased out.
type tokens []*mac

func (ts tokens) check(_ context.Context, now time.Time, r *Request) (grant, error) {
	s := r.token()
	if !isToken(s) {
		return grant{}, errNext
	}
	parts, ok := fields(s)
	if len(s) > 256 || !ok {
		return grant{}, deny(BadSignature, "a token that is not f1.EXPIRY.ACTIONS.NONCE.SIGNATURE")
	}
	head := s[:len(s)-len(parts[4])-1]
	app, _, _ := strings.Cut(r.Name, "/")
	good := false
	var room [64]byte
	for _, m := range ts { // which of ours it is may be seen from how long it takes, and is no secret
		good = good || hmac.Equal(m.sign(room[:0], head, r.Name), []byte(parts[4]))
	}
	for _, m := range ts {
		if good {
			break
		}
		good = hmac.Equal(m.sign(room[:0], head, app+"/*"), []byte(parts[4]))
	}
	if !good {
		return grant{}, deny(BadSignature, "the token's signature is not for %s under our secret", r.Name)
	}
	unix, err := strconv.ParseInt(parts[1], 16, 64)
	if err != nil {
		return grant{}, deny(BadSignature, "the token's expiry %q is not hex", parts[1])
	}
	expiry := time.Unix(unix, 0)
	if !now.Before(expiry) {
		return grant{}, deny(Expired, "the token ended at %s", expiry.UTC().Format(time.RFC3339))
	}
	want := "p"
	if r.Action == Play {
		want = "w"
	}
	if !strings.Contains(parts[2], want) {
		return grant{}, deny(OtherAction, "the token is for %q, not to %s", parts[2], r.Action)
	}
	who := "token " + parts[4][:16] // 96 of the signature's 256 bits: nobody makes a token of them
	if parts[3] == "" {
		return grant{who: who}, nil
	}
	return grant{id: s, expiry: expiry, who: who}, nil
}
