package rtmp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fairlead-live/fairlead/bridge/amf"
)

// Status codes that decide something here (RTMP 1.0 §7.2.2; the rest are the media servers' custom).
const (
	CodeConnectSuccess   = "NetConnection.Connect.Success"
	CodeConnectRejected  = "NetConnection.Connect.Rejected"
	CodeReconnectRequest = "NetConnection.Connect.ReconnectRequest" // E-RTMP v2
	CodePublishStart     = "NetStream.Publish.Start"
	CodePublishBadName   = "NetStream.Publish.BadName"      // the key is in use
	CodePublishDenied    = "NetStream.Publish.Unauthorized" // not with these credentials
	CodePublishRejected  = "NetStream.Publish.Rejected"
	CodeUnpublish        = "NetStream.Unpublish.Success"
	CodePlayReset        = "NetStream.Play.Reset"
	CodePlayStart        = "NetStream.Play.Start"
	CodePlayStop         = "NetStream.Play.Stop"
	CodePlayNotFound     = "NetStream.Play.StreamNotFound"
	CodePlayFailed       = "NetStream.Play.Failed"
	CodePlayUnpublish    = "NetStream.Play.UnpublishNotify"
	CodeDataStart        = "NetStream.Data.Start"
)

// What a refusal means to a client. A StatusError is one of these, or none.
var (
	ErrBadName      = errors.New("rtmp: stream key in use")
	ErrUnauthorized = errors.New("rtmp: not authorized")
	ErrRejected     = errors.New("rtmp: rejected")
	ErrNotFound     = errors.New("rtmp: stream not found")
	ErrRedirect     = errors.New("rtmp: redirected")
	ErrClosed       = errors.New("rtmp: ended by the peer")
)

// StatusError is a peer's refusal, in its own words.
type StatusError struct {
	Command     string // what carried it: _error, onStatus, close
	Code        string
	Description string
	Redirect    string // tcUrl or whole URL to go to instead (ex.redirect, ex.redirect2)
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("rtmp: peer says %s: %s (%.200q)", e.Command, e.Code, e.Description)
}

// Is makes errors.Is work with the Err… above.
func (e *StatusError) Is(target error) bool { return target == e.kind() }

func (e *StatusError) kind() error {
	text := strings.ToLower(e.Description)
	switch {
	case e.Redirect != "":
		return ErrRedirect
	case e.Code == CodePublishBadName, strings.Contains(text, "already publishing"):
		return ErrBadName
	case e.Code == CodePublishDenied, strings.Contains(text, "authmod="), strings.Contains(text, "unauthorized"):
		return ErrUnauthorized
	case e.Code == CodePlayNotFound:
		return ErrNotFound
	case e.Code == CodePlayStop, e.Code == CodePlayUnpublish, e.Code == CodeUnpublish, e.Command == "close":
		return ErrClosed
	default:
		return ErrRejected
	}
}

// statusOf reads the information object of an onStatus, _error or _result.
func statusOf(c Command) *StatusError {
	e := &StatusError{Command: c.Name}
	for i := range c.Args {
		o := c.object(i)
		if code := textOf(o, "code"); code != "" {
			e.Code = code
			e.Description = textOf(o, "description")
			// FMS: ex.code 302 and ex.redirect, a tcUrl; SRS adds ex.redirect2, the whole URL.
			ex := toObject(o.Get("ex"))
			if n, ok := ex.Get("code").(float64); ok && n == 302 {
				if e.Redirect = textOf(ex, "redirect2"); e.Redirect == "" {
					e.Redirect = textOf(ex, "redirect")
				}
			}
		}
	}
	return e
}

// info makes the information object of an answer.
func info(level, code, description string) amf.Object {
	return amf.Object{{Key: "level", Value: level}, {Key: "code", Value: code}, {Key: "description", Value: description}}
}
