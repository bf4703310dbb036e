package push

import (
	"bufio"
	"context"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/feedback"
	"github.com/fairlead-live/fairlead/congestion"
)

// The recipes that read the feed understand a real one: what an encoder is set to follows the target, less the sound.
func TestRecipesFollowAFeed(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Python: make test runs it")
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Log("no python3 here: the recipes are not tried")
		return
	}
	for _, c := range []struct {
		name string
		args func(url string) []string
		unit int // bit/s of a line
		less int // the sound, bit/s
	}{
		{"OBS script", func(u string) []string { return []string{"../../docs/recipes/obs-follow-feed.py", u, "300", "6000"} }, 1000, 160_000},
		{"follow-feed", func(u string) []string { return []string{"../../docs/recipes/follow-feed.py", u, "--", "cat"} }, 1, 128_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			board := feedback.NewBoard()
			srv := httptest.NewServer(feedback.New(feedback.Config{Board: board}))
			t.Cleanup(srv.Close)
			entry := board.Open("live/cam")
			defer entry.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, "python3", c.args(srv.URL+"/v1/streams/live/cam/feedback")...)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := make(chan string)
			go func() {
				for s := bufio.NewScanner(out); s.Scan(); {
					select {
					case lines <- s.Text():
					case <-ctx.Done():
						return
					}
				}
				close(lines)
			}()
			for _, target := range []congestion.Bitrate{4 * congestion.Mbps, 1500 * congestion.Kbps, 100 * congestion.Kbps} {
				want := max(300_000, int(target)-c.less)
				for got := 0; got != want; {
					entry.Set(time.Now(), feedback.Report{Target: target, Reason: "track"})
					select {
					case l, ok := <-lines:
						if !ok {
							t.Fatalf("it ended before it said %d", want)
						}
						n, err := strconv.Atoi(l)
						if err != nil {
							t.Fatalf("it says %q", l)
						}
						got = n * c.unit
					case <-time.After(50 * time.Millisecond):
					case <-ctx.Done():
						t.Fatalf("it never said %d", want)
					}
				}
			}
			cancel()
			_ = cmd.Wait()
		})
	}
}

// The recipes are programs: what reads them finds no fault.
func TestRecipesParse(t *testing.T) {
	for script, by := range map[string][]string{
		"adapt.sh": {"bash", "-n"}, "gst-rtmp.py": {"python3", "-c", parsePython}, "gst-x264.py": {"python3", "-c", parsePython},
	} {
		path, err := exec.LookPath(by[0])
		if err != nil {
			t.Logf("no %s here: %s is not tried", by[0], script)
			continue
		}
		if out, err := exec.CommandContext(t.Context(), path, append(by[1:], "../../docs/recipes/"+script)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", script, err, out)
		}
	}
}

const parsePython = "import ast, sys; ast.parse(open(sys.argv[1]).read())"
