package run

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// raised is the nice value of a run: other work on the machine gets a tenth of what the run gets, and the run's own
// programs share evenly, because they inherit it.
const raised = -10

// raise gives this process, and what it starts from now on, precedence over other work on the machine, where it may
// (CAP_SYS_NICE). undo takes that back.
func raise() (undo func()) {
	was, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return func() {}
	}
	renice(raised)
	return func() { renice(20 - was) } // the system call returns 20 − nice
}

// renice sets all threads: on Linux each has a nice value of its own, which its children inherit.
func renice(nice int) {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, id, nice) // refused: the run is as precise as the machine is idle
		}
	}
}
