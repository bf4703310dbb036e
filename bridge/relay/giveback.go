package relay

import "time"

// giveBackAfter is how long the number of streams stays as it is before memory is given back to the system. Ours: a burst of publishers has
// come, or gone, by then.
const giveBackAfter = 5 * time.Second

// giveBack says when what the start and the end of streams left behind is worth a collection. While a relay does the same all the time it allocates
// next to nothing, and so nothing would ever be collected, nor what is over be given back.
type giveBack struct {
	streams int
	changed time.Time
	due     bool
}

// look takes the number of streams and reports whether now is the time, once after each change.
func (g *giveBack) look(now time.Time, streams int) bool {
	if streams != g.streams {
		g.streams, g.changed, g.due = streams, now, true
	}
	if !g.due || now.Sub(g.changed) < giveBackAfter {
		return false
	}
	g.due = false
	return true
}
