//go:build !race

package udp

const raceOn = false
