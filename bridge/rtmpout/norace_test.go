//go:build !race

package rtmpout

const raceEnabled = false
