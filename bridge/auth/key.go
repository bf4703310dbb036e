package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"time"
)

// keys are names that may be published as they are, or with a secret beside them.
type keys []key

type key struct {
	name   [32]byte // SHA-256, so that comparing takes the same time for every length
	secret [32]byte
	bare   bool // the name alone is enough
}

func newKey(name, secret string) key {
	return key{sha256.Sum256([]byte(name)), sha256.Sum256([]byte(secret)), secret == ""}
}

func (ks keys) check(_ context.Context, _ time.Time, r *Request) (grant, error) {
	name, token := sha256.Sum256([]byte(r.Name)), sha256.Sum256([]byte(r.token()))
	known, yes, secret := 0, 0, 0
	for i := range ks {
		k := &ks[i]
		same := subtle.ConstantTimeCompare(k.name[:], name[:])
		known |= same
		bare := 0
		if k.bare && r.Action == Publish {
			bare = 1
		}
		right := subtle.ConstantTimeCompare(k.secret[:], token[:]) & subtle.ConstantTimeByteEq(b2u(k.bare), 0)
		secret |= same & right
		yes |= same & (bare | right)
	}
	switch {
	case secret == 1:
		return grant{who: whoHas(r.token())}, nil
	case yes == 1:
		return grant{}, nil
	case known == 1 && r.token() != "" && !isToken(r.token()) && !isJWT(r.token()):
		return grant{}, deny(BadSignature, "%s of %s with a wrong secret", r.Action, r.Name)
	}
	return grant{}, errNext
}

func b2u(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
