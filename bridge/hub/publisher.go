package hub

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// PublisherInfo says who publishes, for logs and statistics.
type PublisherInfo struct {
	Protocol string // "srt", "rtmp", "quic", …
	Peer     string // address
	Identity string // what two publishers have in common that are the same person or device; empty: unknown
}

// Publisher is the right to write to one stream. It is owned by one goroutine; Close may be called from anywhere.
type Publisher struct {
	stream *stream
	info   PublisherInfo
	before *PublisherInfo
	since  time.Time
	done   chan struct{}
	pumps  []*Subscriber // who has a frame of the one being written; of the goroutine that writes

	heard time.Time // guarded by stream.mu
	err   error     // guarded by stream.mu; set before done is closed

	passing bool // guarded by stream.mu: WriteTS was called
}

// WriteFrame hands a frame to the stream. It takes f, rewrites its times onto the stream's timeline and shares it.
// It never blocks on a subscriber. Errors: ErrReplaced, ErrClosed, or what Close was given.
func (p *Publisher) WriteFrame(f *media.Frame) error { return p.stream.write(p, f) }

// Replaced returns whom this publisher took the key from, nil when nobody had it.
func (p *Publisher) Replaced() *PublisherInfo { return p.before }

// Done is closed when this publisher is no longer the stream's; Err then says why.
func (p *Publisher) Done() <-chan struct{} { return p.done }

// Err returns why Done is closed.
func (p *Publisher) Err() error {
	p.stream.mu.Lock()
	defer p.stream.mu.Unlock()
	return p.err
}

// Close ends publishing; subscribers stay for Config.Hold. cause is what later calls return, ErrClosed when nil.
func (p *Publisher) Close(cause error) {
	if cause == nil {
		cause = ErrClosed
	}
	p.stream.lost(p, cause)
}
