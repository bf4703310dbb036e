package uplink

import (
	"context"
	"errors"
	"time"

	"github.com/fairlead-live/fairlead/transport/quiclink"
)

// Fallback carries the stream where no UDP passes: the app's own client of another protocol, RTMPS to the same relay as a
// rule. (The uplink itself moves media into QUIC first, where only that passes; it has no other protocol of its own.) Open and
// Close are called in turn from one goroutine and may wait; WriteFrame may still be called when Close has been.
type Fallback interface {
	// Open begins; reason says why. After an error it is called again.
	Open(reason string) error
	// WriteFrame has the arguments of Uplink.WriteFrame. Borrows data.
	WriteFrame(track int, ptsMicros, dtsMicros int64, flags int, data []byte) error
	// Close ends it at once: the relay is reached over UDP again, and takes one publisher of a name; or the stream has ended.
	Close()
}

const (
	// patience and probeEvery are as in fairlead push: ours.
	patience   = 4 * time.Second
	probeEvery = 5 * time.Second
)

// These end a client in favour of the fallback.
var (
	errSilent  = errors.New("uplink: nothing comes back over UDP")
	errStarved = errors.New("uplink: only QUIC passes, and its congestion control holds the stream up")
)

// refused reports whether the relay, or whoever is in its place, said no: that is no matter of UDP.
func refused(err error) bool {
	_, ok := errors.AsType[*quiclink.Rejection](err)
	return ok || errors.Is(err, quiclink.ErrPin)
}

// run drives the stream to its end, over UDP and, where there is one, the fallback.
//
// Goroutines: the caller's, and the client's.
func (u *Uplink) run(ctx context.Context, err error) {
	defer close(u.done)
	for {
		if c := u.now(); c != nil {
			err = u.drive(ctx, c)
		}
		if !errors.Is(err, errSilent) && !errors.Is(err, errStarved) && u.now() != nil || ctx.Err() != nil {
			break
		}
		if err = u.detour(ctx, err); err != nil {
			break
		}
	}
	if ctx.Err() != nil {
		err = nil // Close
	}
	u.mu.Lock()
	u.err, u.closed = err, true
	u.mu.Unlock()
	if u.now() == nil {
		u.event(StateClosed, err)
	}
}

// drive runs a client until it has ended, or is silent or starved for so long that the fallback does better (errSilent, errStarved).
func (u *Uplink) drive(ctx context.Context, c *quiclink.Client) error {
	running, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- c.Run(running) }()
	tick := time.NewTicker(u.options.patience / 16)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			_ = c.Close() // what has been written is still sent
			return <-ended
		case <-tick.C:
			if u.options.Fallback == nil {
				continue
			}
			var why error
			switch {
			case c.Silent() > u.options.patience:
				why = errSilent
			case c.Starved() > 2*u.options.patience:
				why = errStarved
			}
			if why != nil {
				u.mu.Lock()
				u.leaving = true
				u.mu.Unlock()
				stop()
				<-ended
				u.swap(nil)
				return why
			}
		}
	}
}

// detour gives the stream to the fallback until the relay is reached over UDP again (nil), it refuses us, or ctx ends.
func (u *Uplink) detour(ctx context.Context, why error) error {
	f := u.options.Fallback
	for {
		if err := f.Open(why.Error()); err != nil {
			u.event(StateReconnecting, err)
		} else {
			u.over(f)
			u.event(StateFallback, why)
		}
		err := u.lookForUDP(ctx, errors.Is(why, errStarved))
		u.over(nil)
		f.Close()
		if err != nil {
			return err
		}
		c, err := u.dial(ctx)
		if err == nil {
			u.swap(c)
			return nil
		}
		if refused(err) || ctx.Err() != nil {
			return err
		}
		why = err
	}
}

// lookForUDP asks until the relay answers. One that answered all the time is asked after a while only.
func (u *Uplink) lookForUDP(ctx context.Context, answered bool) error {
	every := u.options.probeEvery
	if answered {
		every *= 12 // a minute, as in fairlead push
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		probe, cancel := context.WithTimeout(ctx, u.options.timeout())
		err := quiclink.Reachable(probe, u.target)
		cancel()
		if err == nil {
			return nil
		}
	}
}

// over makes f what takes frames; nil: the client, if there is one.
func (u *Uplink) over(f Fallback) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fallback = f
}

// swap makes c the client; nil: there is none. The numbers of the one before are kept.
func (u *Uplink) swap(c *quiclink.Client) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.client != nil {
		u.before = *u.sum()
		u.before.Reconnects++
	}
	u.leaving = false
	if u.client = c; c != nil {
		c.SetTracks(u.tracks)
	}
}

func (u *Uplink) now() *quiclink.Client {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.client
}

func (u *Uplink) event(state int, err error) {
	u.mu.Lock()
	u.before.State = state
	u.mu.Unlock()
	if e := u.options.Events; e != nil {
		reason := ""
		if err != nil {
			reason = err.Error()
		}
		e.OnState(state, reason)
	}
}
