package srtlink

import (
	"errors"
	"fmt"
	"strings"
)

// DefaultApp is the app of a stream id that is a bare key.
const DefaultApp = "live"

// ErrStreamID is wrapped by every error about a stream id that cannot be understood.
var ErrStreamID = errors.New("srt: bad streamid")

// StreamID is what a caller wants, whichever form it said it in.
type StreamID struct {
	Publish bool
	App     string
	Key     string
	User    string
	Token   string // session, password or token
}

// Name returns "app/key".
func (s StreamID) Name() string { return s.App + "/" + s.Key }

// ParseStreamID reads the four forms in use:
//
//	publish:app/key[:user:token]             MediaMTX; "read:" plays
//	#!::m=publish,r=app/key[,u=…][,s=…]      SRT access control, SRS; m=request (the default of the form) plays
//	publish/app/key                          SLS; "play/" plays
//	key  or  app/key                         bare, publishes
//
// A resource of one word is a key of DefaultApp. A query ("?token=…") may follow the resource.
func ParseStreamID(s string) (StreamID, error) {
	id := StreamID{Publish: true}
	resource := s
	switch head, rest, _ := strings.Cut(s, ":"); {
	case s == "":
		return id, fmt.Errorf("%w: it is empty; say streamid=publish:app/key", ErrStreamID)
	case strings.HasPrefix(s, "#!::"):
		var err error
		if resource, err = id.accessControl(s[len("#!::"):]); err != nil {
			return id, err
		}
	case strings.HasPrefix(s, "#!:"):
		return id, fmt.Errorf("%w: nested form %q; use #!::key=value,…", ErrStreamID, s)
	case head == "publish" || head == "read" || head == "request":
		id.Publish = head == "publish"
		var auth string
		resource, auth, _ = strings.Cut(rest, ":")
		id.User, id.Token, _ = strings.Cut(auth, ":")
	case strings.HasPrefix(s, "publish/"):
		resource = s[len("publish/"):]
	case strings.HasPrefix(s, "play/"):
		id.Publish = false
		resource = s[len("play/"):]
	}
	return id, id.setResource(resource)
}

func (id *StreamID) accessControl(s string) (resource string, err error) {
	id.Publish = false
	for kv := range strings.SplitSeq(s, ",") {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return "", fmt.Errorf("%w: %q is not key=value", ErrStreamID, kv)
		}
		switch k {
		case "r":
			resource = v
		case "u":
			id.User = v
		case "s":
			id.Token = v
		case "m":
			switch v {
			case "publish":
				id.Publish = true
			case "request":
			default:
				return "", fmt.Errorf("%w: mode %q; publish or request", ErrStreamID, v)
			}
		}
	}
	return resource, nil
}

func (id *StreamID) setResource(r string) error {
	r, query, _ := strings.Cut(r, "?")
	for kv := range strings.SplitSeq(query, "&") {
		if k, v, _ := strings.Cut(kv, "="); k == "token" {
			id.Token = v
		}
	}
	r = strings.Trim(r, "/")
	id.App, id.Key = DefaultApp, r
	if i := strings.LastIndexByte(r, '/'); i >= 0 {
		id.App, id.Key = r[:i], r[i+1:]
	}
	if id.Key == "" {
		return fmt.Errorf("%w: it names no key", ErrStreamID)
	}
	return nil
}
