//go:build race

package mpegts

const raceEnabled = true
