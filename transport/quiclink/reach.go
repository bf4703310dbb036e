package quiclink

import "context"

// Reachable reports whether a relay answers over UDP now: nil after a QUIC handshake with it, in which it shows its key. Nothing
// is published.
func Reachable(ctx context.Context, target Target) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	d := dial(ctx, target, 0)
	if d.err != nil {
		return connectError(target.Addr, d.err)
	}
	d.close()
	return nil
}
