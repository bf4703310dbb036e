//go:build unix

package main

import "syscall"

// descriptors is how many files and sockets this process may have open. Go raises the soft limit to the hard one when a program starts.
func descriptors() (n uint64, known bool) {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0, false
	}
	return uint64(l.Max), true
}
