package quiclink

import (
	"time"

	"github.com/fairlead-live/fairlead/transport/wire"
)

// Observer is a Sink that wants to see its session while it runs.
type Observer interface {
	// Observe is told ten times a second what End would say now.
	Observe(now End)
}

// Adviser is a Sink that wants to know what the publisher's encoder is told.
type Adviser interface {
	// Advised is told of a target, five times a second or more. Publishers of older versions say none. Borrows t.
	Advised(now time.Time, t *wire.Target)
	// KeyframeAsked says that the relay asked for a key frame.
	KeyframeAsked()
}
