package emu

import (
	"runtime"
	"testing"
)

// Each link brings the processor that its waiting takes, and takes it away again.
func TestLinksBringTheirProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	target := port(newUDP(t))
	a, b := newProxy(t, target, Config{}), newProxy(t, target, Config{})
	a.Counters() // their loops run
	b.Counters()
	if got := runtime.GOMAXPROCS(0); got != before+2 {
		t.Errorf("%d processors with two links, want %d", got, before+2)
	}
	a.Close()
	b.Close()
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("%d processors after the links, want %d", got, before)
	}
}
