//go:build unix

package run

import "syscall"

// signalGroup sends a signal to a program's whole process group: to end, or at once when hard.
func signalGroup(pid int, hard bool) {
	sig := syscall.SIGTERM
	if hard {
		sig = syscall.SIGKILL
	}
	_ = syscall.Kill(-pid, sig) // nobody there is well too
}
