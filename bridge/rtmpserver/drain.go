package rtmpserver

import (
	"context"
	"strings"
	"time"
)

// Drain asks every publisher that says it understands (Enhanced RTMP, ReconnectRequest) to connect anew, to the server that url names
// (rtmp://host, or with an app: rtmp://host/app) or at the same address if it is empty, and refuses publishers that come. It returns
// when those it asked have gone, when left has passed, or when ctx ends; Serve goes on meanwhile. It is called once.
func (s *Server) Drain(ctx context.Context, left time.Duration, url string) {
	s.mu.Lock()
	s.draining = true
	for c := range s.open {
		c.ask(url)
	}
	for _, l := range s.loops {
		l.Wake()
	}
	s.mu.Unlock()
	end := time.NewTimer(left)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for s.askedToGo() > 0 {
		select {
		case <-tick.C:
		case <-end.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// askedToGo counts the publishers that are here and were asked, or are about to be.
func (s *Server) askedToGo() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		if c.moving.Load() != nil {
			n++
		}
	}
	return n
}

// ask has the reader goroutine ask its peer, as soon as it has been woken.
func (c *conn) ask(url string) {
	c.moving.Store(&url)
	_ = (*c.wake.Load()).SetReadDeadline(time.Unix(1, 0)) // where a loop has it, that is woken
}

// move asks the peer to go, where that is due. It is the reader goroutine's.
func (c *conn) move() error {
	url := c.moving.Load()
	if url == nil || c.asked {
		return nil
	}
	if c.pub == nil || !c.m.RequestReconnect(withApp(*url, c.app), "server is going away") {
		c.moving.Store(nil)
		return nil
	}
	c.asked = true
	c.log.Info("rtmp: publisher asked to reconnect", "to", *url)
	return c.flush()
}

// withApp is a tcUrl: that of another server, for this app if it names none.
func withApp(url, app string) string {
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		return ""
	}
	if _, path, _ := strings.Cut(rest, "/"); path == "" {
		return strings.TrimSuffix(url, "/") + "/" + app
	}
	return url
}
