package relay

import (
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
)

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func waitPort(t testing.TB, port int) {
	t.Helper()
	need.Until(t, "listening on "+strconv.Itoa(port), func() bool {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func waitStream(t testing.TB, r *Relay, name string) {
	t.Helper()
	need.Until(t, name+" publishing", func() bool {
		for _, s := range r.Streams() {
			if s.Name == name && s.Publisher != nil && s.Counts.Frames > 0 {
				return true
			}
		}
		return false
	})
}

// waitRecording waits until a file no longer grows.
func waitRecording(t testing.TB, file string) {
	t.Helper()
	last := int64(-1)
	need.Until(t, "recording "+file, func() bool {
		st, err := os.Stat(file)
		if err != nil {
			return false
		}
		same := st.Size() == last
		last = st.Size()
		time.Sleep(300 * time.Millisecond)
		return same
	})
}
