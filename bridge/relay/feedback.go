package relay

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-live/fairlead/bridge/auth"
	"github.com/fairlead-live/fairlead/bridge/feedback"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/rtmpserver"
	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/transport/srt"
	"github.com/fairlead-live/fairlead/transport/srtlink"
)

// adviseEvery is how often an SRT publisher's arrivals are looked at: the connection hands them over ten times a second.
const adviseEvery = 100 * time.Millisecond

// Feedback returns what publishers are told, for programs that have a relay in their process.
func (r *Relay) Feedback() *feedback.Board { return r.board }

// authorizeFeedback lets those hear what the encoder is told who may play the stream or publish it.
func (r *Relay) authorizeFeedback(ctx context.Context, name string, req *http.Request) error {
	token, _ := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	q := auth.Request{Action: auth.Play, Protocol: "http", Name: name, Token: token, Query: req.URL.RawQuery}
	q.Peer, q.PeerPort = peerOf(req.RemoteAddr)
	err := r.allow(ctx, q)
	if err != nil {
		q.Action = auth.Publish
		err = r.allow(ctx, q)
	}
	return err
}

// adviseSRT estimates a publisher's path from the stamps of its packets until stop is closed.
func (r *Relay) adviseSRT(name string, conn *srtlink.Conn, queue *atomic.Int64, stop <-chan struct{}) {
	entry := r.board.Open(name)
	defer entry.Close()
	link := feedback.NewOneWay(conn.Stats().RTT)
	tick := time.NewTicker(adviseEvery)
	defer tick.Stop()
	var arrivals []srt.Arrival
	var standing congestion.Standing
	zero := time.Now()
	var sent time.Duration // newest stamp of a packet that came at its first sending, and when it came
	var came time.Time
	for {
		var now time.Time
		select {
		case <-stop:
			return
		case now = <-tick.C:
		}
		arrivals = conn.Arrivals(arrivals[:0])
		for _, a := range arrivals {
			if a.Missing > 0 {
				link.Lost(a.At, a.Missing, a.Size)
			}
			if !a.Resent {
				sent, came = a.Stamp, a.At
				at := a.At.Sub(zero)
				standing.Add(at, at-a.Stamp)
			} else if !came.IsZero() { // its stamp is of the first sending
				a.Stamp = sent + a.At.Sub(came)
			}
			link.Arrived(a.At, a.Stamp, a.Size)
		}
		queue.Store(int64(standing.Queue(now.Sub(zero))))
		if report, ok := link.Report(now); ok {
			entry.Set(now, report)
		}
	}
}

// rtmpWatcher estimates the path of an RTMP publisher from the stamps of its messages. The relay asks it every judgeEvery what to tell, so that
// silence is noticed too.
type rtmpWatcher struct {
	r     *Relay
	entry *feedback.Entry

	mu      sync.Mutex // guards what follows
	link    *feedback.OneWay
	arrived []arrival // and not shown to link yet, which costs less at once
}

// arrival is a message that came.
type arrival struct {
	at    time.Time
	stamp time.Duration
	size  int
}

// arrivalsMost bounds what waits to be shown: more than come in judgeEvery. Ours.
const arrivalsMost = 32

// rtmpWatchers are those there are.
type rtmpWatchers struct {
	mu  sync.Mutex // guards all
	all map[*rtmpWatcher]bool
}

// tell lets every one of them tell its publisher.
func (ws *rtmpWatchers) tell(now time.Time) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		w.tell(now)
	}
}

func (r *Relay) watchRTMP(req rtmpserver.Request) rtmpserver.Watcher {
	w := &rtmpWatcher{r: r, entry: r.board.Open(req.Name), link: feedback.NewOneWay(0), arrived: make([]arrival, 0, arrivalsMost)}
	r.watchers.mu.Lock()
	defer r.watchers.mu.Unlock()
	if r.watchers.all == nil {
		r.watchers.all = map[*rtmpWatcher]bool{}
	}
	r.watchers.all[w] = true
	return w
}

func (w *rtmpWatcher) Media(at time.Time, stamp time.Duration, size int, _ bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.arrived = append(w.arrived, arrival{at, stamp, size}); len(w.arrived) == arrivalsMost {
		w.show()
	}
}

// show shows link what has come; mu is held.
func (w *rtmpWatcher) show() {
	for _, a := range w.arrived {
		w.link.Frame(a.at, a.stamp, a.size)
	}
	w.arrived = w.arrived[:0]
}

// Keep implements rtmpserver.Watcher.
func (w *rtmpWatcher) Keep(*media.Frame) bool { return true }

func (w *rtmpWatcher) tell(now time.Time) {
	w.mu.Lock()
	w.show()
	report, ok := w.link.Report(now)
	w.mu.Unlock()
	if ok {
		w.entry.Set(now, report)
	}
}

// Close is called once.
func (w *rtmpWatcher) Close() {
	w.r.watchers.mu.Lock()
	delete(w.r.watchers.all, w)
	w.r.watchers.mu.Unlock()
	w.entry.Close()
}
