//go:build unix

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
)

// lockedBuffer is written by the command and read by the test.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A SIGHUP makes the relay read its file again; a file with a mistake changes nothing and is named.
func TestHangupReloads(t *testing.T) {
	file := filepath.Join(t.TempDir(), "relay.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("srt: 127.0.0.1:0\nquic: \"\"\nrtmp: \"\"\nhttp: \"\"\napi: \"\"\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("key: [live/a]\n")
	var out strings.Builder
	if got := dispatch(t.Context(), env{args: []string{"relay", "--check", "--config", file}, stdout: &out, stderr: &out}); got != exitOK || !strings.Contains(out.String(), "right") {
		t.Fatalf("--check: %d, %s", got, out.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, stderr lockedBuffer
	done := make(chan int, 1)
	go func() {
		done <- dispatch(ctx, env{args: []string{"relay", "--config", file}, stdout: &stdout, stderr: &stderr})
	}()
	wait := func(b *lockedBuffer, text string) {
		t.Helper()
		for deadline := time.Now().Add(need.Patience); !strings.Contains(b.String(), text); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("never said %q: %s", text, b.String())
			}
		}
	}
	wait(&stdout, "fairlead: ready")
	hangup := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	write("key: [live/a, live/b]\n")
	hangup()
	wait(&stderr, "applied=key")
	write("keys: [live/a]\n")
	hangup()
	wait(&stderr, "unknown key")
	cancel()
	if got := <-done; got != exitOK {
		t.Errorf("exit code %d", got)
	}
	write("keys: [live/a]\n")
	if got := dispatch(t.Context(), env{args: []string{"relay", "--check", "--config", file}, stdout: &out, stderr: &out}); got != exitUsage {
		t.Errorf("--check of a mistake: %d", got)
	}
}
