//go:build !race

package quiclink

const raceEnabled = false
