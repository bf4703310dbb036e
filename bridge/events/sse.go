package events

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	beat     = 10 * time.Second // a comment where nothing happens, so that both ends notice that the other is gone
	patience = 5 * time.Second  // a client that takes nothing for so long is cut
	// MaxClients is how many may listen at once.
	MaxClients = 100
)

// Handler serves the bus as server-sent events. ?type=A,B and ?stream=APP/KEY choose; Last-Event-ID goes on where a client was. access is called
// now and then; false ends the response, so that a token that was taken back ends what it opened. Nil: it stays.
func Handler(b *Bus, access func(r *http.Request) bool) http.HandlerFunc {
	slots := make(chan struct{}, MaxClients)
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			http.Error(w, "too many clients", http.StatusServiceUnavailable)
			return
		}
		var types []string
		if v := r.URL.Query().Get("type"); v != "" {
			types = strings.Split(v, ",")
		}
		stream := r.URL.Query().Get("stream")
		after, _ := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64)
		l := b.Listen(after)
		defer l.Close()
		h := w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no") // nginx in front: do not collect
		ctl := http.NewResponseController(w)
		write := func(text string) bool {
			if ctl.SetWriteDeadline(time.Now().Add(patience)) != nil {
				return false
			}
			if _, err := w.Write([]byte(text)); err != nil {
				return false
			}
			return ctl.Flush() == nil
		}
		if !write("retry: 1000\n\n") {
			return
		}
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			select {
			case e := <-l.C:
				if e.Type != Lost && (len(types) > 0 && !slices.Contains(types, string(e.Type)) || stream != "" && e.Stream != stream) {
					continue
				}
				body, err := json.Marshal(&e)
				if err != nil {
					continue
				}
				if !write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Type, body)) {
					return
				}
			case <-tick.C:
				if access != nil && !access(r) || !write(":\n\n") {
					return
				}
			case <-r.Context().Done():
				return
			}
		}
	}
}
