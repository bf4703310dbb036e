//go:build !race

package rtmpserver

const raceEnabled = false
