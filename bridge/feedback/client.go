package feedback

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// maxLine bounds a line of events; ours are below 200 bytes.
const maxLine = 16 << 10

// Listen reads a feed (http://HOST/v1/streams/APP/KEY/feedback) and hands on what it says, until it ends, ctx ends, or
// tell returns an error.
func Listen(ctx context.Context, client *http.Client, url string, tell func(News) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("feedback: %s: %s", url, resp.Status)
	}
	in := bufio.NewScanner(resp.Body)
	in.Buffer(make([]byte, 0, 1024), maxLine)
	kind, data := "", ""
	for in.Scan() {
		line := in.Text()
		if v, ok := strings.CutPrefix(line, "event: "); ok {
			kind = v
		} else if v, ok := strings.CutPrefix(line, "data: "); ok {
			data = v
		}
		if line != "" {
			continue
		}
		n := News{Keyframe: kind == "keyframe", Gone: kind == "gone"}
		if kind == "target" {
			n.Report = new(Report)
			if err := json.Unmarshal([]byte(data), n.Report); err != nil {
				return fmt.Errorf("feedback: %w", err)
			}
		}
		if kind != "" {
			if err := tell(n); err != nil {
				return err
			}
		}
		kind, data = "", ""
	}
	return in.Err()
}
