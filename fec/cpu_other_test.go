//go:build !linux

package fec

import "time"

// threadTime is not known here.
func threadTime() time.Duration { return 0 }
