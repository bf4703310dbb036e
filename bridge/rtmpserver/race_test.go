//go:build race

package rtmpserver

const raceEnabled = true
