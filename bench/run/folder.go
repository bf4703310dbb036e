package run

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// folderPrefix begins the name of a cell's folder; the process's number and a dash follow.
const folderPrefix = "fairlead-cell-"

// removeLeftovers removes the folders of cells whose process is gone, as after a kill. Programs and links are bench/emu's to
// remove. A number that another process has by now keeps its folder: it is small and will be found another time.
func removeLeftovers() {
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	for _, path := range folders {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), folderPrefix), "-")
		pid, err := strconv.Atoi(number)
		if err != nil || pid == os.Getpid() {
			continue
		}
		if _, err := os.Stat(filepath.Join("/proc", number)); !os.IsNotExist(err) {
			continue
		}
		if _, err := os.Stat("/proc/self"); err == nil { // without /proc nobody knows
			_ = os.RemoveAll(path)
		}
	}
}
