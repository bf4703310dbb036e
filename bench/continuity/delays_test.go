package continuity

import (
	"bufio"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// delays are fairlead_output_delay_seconds of all destinations: frames that took no longer than a bound in seconds.
type delays map[float64]float64

// delaysOf reads them from a relay's API; nil: it does not say.
func delaysOf(t *testing.T, api string) delays {
	t.Helper()
	if api == "" {
		return nil
	}
	res, err := http.Get("http://" + api + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	d := delays{}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), "fairlead_output_delay_seconds_bucket{")
		if !ok {
			continue
		}
		_, rest, _ = strings.Cut(rest, `le="`)
		bound, count, _ := strings.Cut(rest, `"} `)
		le, err := strconv.ParseFloat(bound, 64)
		n, err2 := strconv.ParseFloat(count, 64)
		if err == nil && err2 == nil {
			d[le] += n
		}
	}
	return d
}

// since says what share of the frames between two readings took how long: the least bounds that half and 99 of 100 kept.
func (d delays) since(before delays) string {
	bounds := make([]float64, 0, len(d))
	for le := range d {
		bounds = append(bounds, le)
	}
	sort.Float64s(bounds)
	if len(bounds) == 0 {
		return "not told"
	}
	all := d[bounds[len(bounds)-1]] - before[bounds[len(bounds)-1]]
	at := func(p float64) string {
		for _, le := range bounds {
			if d[le]-before[le] >= p*all {
				return fmt.Sprintf("≤ %g ms", 1000*le)
			}
		}
		return "none"
	}
	return fmt.Sprintf("p50 %s, p95 %s, p99 %s of %.0f frames", at(.5), at(.95), at(.99), all)
}
