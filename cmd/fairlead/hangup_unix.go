//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// onHangup calls f at every SIGHUP until stop is called.
//
// Goroutines: one, which stop ends.
func onHangup(f func()) (stop func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range ch {
			f()
		}
	}()
	return func() {
		signal.Stop(ch)
		close(ch)
		<-done
	}
}
