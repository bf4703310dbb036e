package httpflv

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// carrier takes what belongs together, a tag or the packets of a frame, to the player at once. It borrows the parts.
type carrier interface {
	context() context.Context // ends with the player
	open() error              // tells the player that the stream exists, even before its first frame
	send(parts ...[]byte) error
	close(err error)
}

// response is the body of an HTTP response.
type response struct {
	w       http.ResponseWriter
	ctl     *http.ResponseController
	timeout time.Duration
	ctx     context.Context
}

func (r *response) context() context.Context { return r.ctx }

// A request's own write deadline would be the whole server's; each frame gets a fresh one.
func (r *response) deadline() error {
	if err := r.ctl.SetWriteDeadline(time.Now().Add(r.timeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("httpflv: %w", err)
	}
	return nil
}

func (r *response) open() error {
	if err := r.deadline(); err != nil {
		return err
	}
	r.w.WriteHeader(http.StatusOK)
	_ = r.ctl.Flush()
	return nil
}

func (r *response) send(parts ...[]byte) error {
	if err := r.deadline(); err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := r.w.Write(p); err != nil {
			return err
		}
	}
	return r.ctl.Flush()
}

func (r *response) close(error) {}

// pingEvery keeps proxies between us and a player from ending a quiet connection.
const pingEvery = 10 * time.Second

// socket is a WebSocket (RFC 6455), a message for each send.
//
// Goroutines: one reads, for pongs and the player's good-bye; one pings. Both end with the connection.
type socket struct {
	conn    *websocket.Conn
	ctx     context.Context
	timeout time.Duration
	buf     []byte
}

// acceptSocket upgrades a request, or answers with why not. Players of every origin may come, as over HTTP.
func acceptSocket(w http.ResponseWriter, r *http.Request, timeout time.Duration) (*socket, error) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil, err
	}
	s := &socket{conn: conn, timeout: timeout}
	s.ctx = conn.CloseRead(r.Context())
	go func() {
		tick := time.NewTicker(pingEvery)
		defer tick.Stop()
		for {
			select {
			case <-s.ctx.Done():
				return
			case <-tick.C:
				ctx, cancel := context.WithTimeout(s.ctx, timeout)
				err := conn.Ping(ctx)
				cancel()
				if err != nil {
					_ = conn.CloseNow()
					return
				}
			}
		}
	}()
	return s, nil
}

func (s *socket) context() context.Context { return s.ctx }

func (s *socket) open() error { return nil }

func (s *socket) send(parts ...[]byte) error {
	s.buf = s.buf[:0]
	for _, p := range parts {
		s.buf = append(s.buf, p...)
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.timeout)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageBinary, s.buf)
}

func (s *socket) close(err error) {
	if errors.Is(err, context.Canceled) {
		_ = s.conn.CloseNow()
		return
	}
	_ = s.conn.Close(websocket.StatusNormalClosure, "the stream is over")
}
