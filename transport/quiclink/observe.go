package quiclink

// Observer is a Sink that wants to see its session while it runs.
type Observer interface {
	// Observe is told once a second what End would say now.
	Observe(now End)
}
