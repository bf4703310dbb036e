package hub

import "errors"

// ErrKicked is what a publisher reads that the operator ended.
var ErrKicked = errors.New("hub: ended by the operator")

// Kick ends the publisher of a stream; subscribers stay for Config.Hold, and it may come back. False: nobody publishes.
func (h *Hub) Kick(name string) bool {
	h.mu.Lock()
	s := h.streams[name]
	h.mu.Unlock()
	if s == nil {
		return false
	}
	s.mu.Lock()
	p := s.publisher
	s.mu.Unlock()
	if p == nil {
		return false
	}
	p.Close(ErrKicked)
	return true
}
