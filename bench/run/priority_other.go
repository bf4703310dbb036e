//go:build !linux

package run

// raise does nothing: links need Linux anyway.
func raise() (undo func()) { return func() {} }
