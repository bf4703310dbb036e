//go:build race

package quiclink

const raceEnabled = true
