package srt

import (
	"slices"
	"strconv"
	"strings"
)

// answerFilter is the listener's half of negotiating a packet filter: it has no wish of its own, adopts the caller's and says
// so with every key in alphabetical order, as libsrt does. False: not the FEC filter, or a value that libsrt would refuse.
//
// The filter's packets are dropped (DropFilter): what is lost is asked for, which a sender answers in every arq mode.
func answerFilter(s string) (string, bool) {
	parts := strings.Split(s, ",")
	if parts[0] != "fec" {
		return "", false
	}
	values := map[string]string{"rows": "1", "layout": "staircase", "arq": "onreq"}
	for _, p := range parts[1:] {
		k, v, ok := strings.Cut(p, ":")
		if !ok || !slices.Contains([]string{"cols", "rows", "layout", "arq"}, k) {
			return "", false
		}
		values[k] = v
	}
	cols, err := strconv.Atoi(values["cols"])
	rows, err2 := strconv.Atoi(values["rows"])
	if err != nil || err2 != nil || cols < 2 || cols > 127 || rows == 0 || rows == -1 || rows > 127 || rows < -127 ||
		!slices.Contains([]string{"even", "staircase"}, values["layout"]) || !slices.Contains([]string{"never", "onreq", "always"}, values["arq"]) {
		return "", false
	}
	return "fec,arq:" + values["arq"] + ",cols:" + strconv.Itoa(cols) + ",layout:" + values["layout"] + ",rows:" + strconv.Itoa(rows), true
}
