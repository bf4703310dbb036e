//go:build !race

package srt

const raceOn = false
