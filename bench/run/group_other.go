//go:build !unix

package run

import "os"

// signalGroup ends the program alone: this system has no process groups of this kind, and no links either.
func signalGroup(pid int, _ bool) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}
