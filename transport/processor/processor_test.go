package processor

import (
	"runtime"
	"testing"
)

// What is lent comes on top and is given back, whatever somebody else does to GOMAXPROCS meanwhile.
func TestOwn(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	a, b := Own(), Own()
	if got := runtime.GOMAXPROCS(0); got != before+2 || Shared() != before {
		t.Errorf("%d processors, %d of them shared, want %d and %d", got, Shared(), before+2, before)
	}
	a()
	if got := runtime.GOMAXPROCS(0); got != before+1 {
		t.Errorf("%d processors, want %d", got, before+1)
	}
	runtime.GOMAXPROCS(before)
	b()
	if got := runtime.GOMAXPROCS(0); got != before || Shared() != before {
		t.Errorf("%d processors at the end, %d of them shared, want %d", got, Shared(), before)
	}
}

// The first loop of two processors takes one of them; the second brings one, so that one is left.
func TestBeside(t *testing.T) {
	before := runtime.GOMAXPROCS(2)
	defer runtime.GOMAXPROCS(before)
	for i, want := range []int{2, 3, 4} {
		defer Beside()()
		if got := runtime.GOMAXPROCS(0); got != want || Shared() != 2 {
			t.Errorf("%d loops: %d processors, %d of them shared, want %d and 2", i+1, got, Shared(), want)
		}
	}
}
