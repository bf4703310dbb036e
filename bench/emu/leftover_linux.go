package emu

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A record is what a running link writes down, so that a later start can prove what a killed one left behind.
// The mark is also written into both namespaces, as the alias of their loopback interface: a process is ours when it
// lives in a namespace that bears the mark of a record whose owner is dead.
type record struct {
	PID        int      `json:"pid"`
	Start      uint64   `json:"start_ticks"` // field 22 of /proc/PID/stat: with the PID it names one process of one boot
	Boot       string   `json:"boot_id"`
	Mark       string   `json:"mark"`
	Namespaces []uint64 `json:"netns_inodes"`
}

// stateDir is the folder of the records: in XDG_RUNTIME_DIR, or else the temporary folder; only its owner may write there.
func stateDir() (string, error) {
	base := os.Getenv("XDG_RUNTIME_DIR")
	if base == "" {
		base = os.TempDir()
	}
	dir := filepath.Join(base, "fairlead-bench-"+strconv.Itoa(os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("emu: state folder: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return "", fmt.Errorf("emu: state folder %s: %w", dir, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Getuid() || st.Mode&0o022 != 0 {
		return "", fmt.Errorf("emu: state folder %s is not ours alone: remove it or set XDG_RUNTIME_DIR", dir)
	}
	return dir, nil
}

// newRecord describes this process, with a mark that no other link has.
func newRecord() (*record, error) {
	start, err := startTicks(os.Getpid())
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, 8)
	_, _ = rand.Read(nonce) // never fails
	mark := fmt.Sprintf("fairlead-bench %d %d %s", os.Getpid(), start, hex.EncodeToString(nonce))
	return &record{PID: os.Getpid(), Start: start, Boot: bootID(), Mark: mark}, nil
}

// write puts the record in dir and returns its path.
func (r *record) write(dir string) (string, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "link-"+r.Mark[strings.LastIndexByte(r.Mark, ' ')+1:]+".json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return "", fmt.Errorf("emu: write down what to clean up: %w", err)
	}
	return path, nil
}

// RemoveLeftovers ends the processes that killed links of this user left behind and forgets those links. It touches
// only what a record and the mark in the namespace both prove to be ours, and returns how many processes it ended.
// NewPair calls it; a namespace, its devices and addresses go by themselves with its last process.
func RemoveLeftovers() (int, error) {
	dir, err := stateDir()
	if err != nil {
		return 0, err
	}
	paths, err := filepath.Glob(filepath.Join(dir, "link-*.json"))
	if err != nil {
		return 0, err
	}
	ended := 0
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // another start was faster
		}
		var r record
		if json.Unmarshal(b, &r) != nil || r.Mark == "" {
			continue // being written, or not ours: leave it
		}
		if r.Boot == bootID() {
			if start, err := startTicks(r.PID); err == nil && start == r.Start {
				continue // alive
			}
			n, err := r.endProcesses()
			ended += n
			if err != nil {
				return ended, fmt.Errorf("emu: remove leftovers of process %d: %w", r.PID, err)
			}
		}
		_ = os.Remove(path)
	}
	return ended, nil
}

// endProcesses kills what still runs in the record's namespaces.
func (r *record) endProcesses() (ended int, err error) {
	for _, ino := range r.Namespaces {
		for _, pid := range processesIn(ino) {
			ok, e := endIn(pid, ino, func(ns *os.File) (bool, error) {
				mark, err := markOf(ns)
				return mark == r.Mark, err
			})
			if ok {
				ended++
			}
			if e != nil && !errors.Is(e, fs.ErrNotExist) && !errors.Is(e, unix.ESRCH) {
				err = e
			}
		}
	}
	return ended, err
}

// endIn kills pid if it lives in the namespace ino and, where ours is not nil, that says so. The descriptors are held
// over the check, so neither the PID nor the namespace's number can come to mean something else in between.
func endIn(pid int, ino uint64, ours func(ns *os.File) (bool, error)) (bool, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(pidfd)
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return false, err
	}
	defer ns.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.Fd()), &st); err != nil || st.Ino != ino {
		return false, err
	}
	if ours != nil {
		if ok, err := ours(ns); err != nil || !ok {
			return false, err
		}
	}
	return true, unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
}

// loopback is the index of lo in every network namespace.
const loopback = 1

// markOf reads the mark in a namespace.
func markOf(ns *os.File) (mark string, err error) {
	done := make(chan struct{})
	go func() { // a thread for the visit, which comes home
		defer close(done)
		runtime.LockOSThread()
		home, e := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err = e; err != nil {
			return
		}
		defer unix.Close(home)
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err == nil {
			var r *rtnl
			if r, err = openRtnl(); err == nil {
				var attrs map[uint16][]byte
				attrs, err = r.linkAttrs(loopback)
				mark = strings.TrimRight(string(attrs[unix.IFLA_IFALIAS]), "\x00")
				r.close()
			}
		}
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	<-done
	return mark, err
}

// processesIn lists the processes of one network namespace.
func processesIn(ino uint64) []int {
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if unix.Stat("/proc/"+e.Name()+"/ns/net", &st) == nil && st.Ino == ino {
			pids = append(pids, pid)
		}
	}
	return pids
}

func startTicks(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in brackets, may hold anything; field 3 follows the last bracket.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return 0, fs.ErrNotExist
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
