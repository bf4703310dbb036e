package push

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/fairlead-live/fairlead/bridge/config"
	"github.com/fairlead-live/fairlead/bridge/hub"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/quiclink"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// uplinkOutput sends to a relay over QUIC.
type uplinkOutput struct {
	push   *Push
	pass   passing
	target quiclink.Target
	client *quiclink.Client
	mu     sync.Mutex // guards client

	packets *hub.TSSubscriber // from open on
}

func (p *Push) newUplink(raw string) (output, error) {
	raw, how, err := takePassing(raw)
	if err != nil {
		return nil, err
	}
	t, err := quiclink.ParseURL(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", config.ErrUsage, err)
	}
	return &uplinkOutput{push: p, pass: how, target: t}, nil
}

func (u *uplinkOutput) open(ctx context.Context) error {
	log := u.push.cfg.Logger
	c, err := quiclink.DialTarget(ctx, u.target, quiclink.DialConfig{Agent: u.push.cfg.Agent, Logger: log, OnKeyframe: func(uint8) { u.push.askKeyframe() }, OnState: func(s quiclink.State, err error) {
		log.Info("uplink "+s.String(), "to", u.target.Addr, "err", err)
	}})
	if errors.Is(err, quiclink.ErrPin) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && u.target.Pin == "" {
		return fmt.Errorf("%w: %s: its certificate is not one that this system trusts; give the pin=… that the relay prints: %w", ErrRefused, u.target.Addr, err)
	}
	if r, ok := errors.AsType[*quiclink.Rejection](err); ok && r.Status < 500 && r.Status != 409 {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err != nil {
		return err
	}
	u.mu.Lock()
	u.client = c
	u.mu.Unlock()
	if u.packets == nil { // before the input begins: nothing of it is missed
		u.packets, err = u.push.hub.SubscribeTS(u.push.name, hub.SubscriberInfo{Protocol: "push", Peer: u.target.Addr, Wait: true})
	}
	return err
}

// run sends until the stream ends and everything has been accounted for.
//
// Goroutines: the caller's reads the hub; one owns the session.
func (u *uplinkOutput) run(ctx context.Context, h *hub.Hub, name string) error {
	sub, err := h.Subscribe(name, hub.SubscriberInfo{Protocol: "push", Peer: u.target.Addr, Wait: true})
	if err != nil {
		return err
	}
	defer sub.Close()
	defer u.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var end error
	// An interrupt still says good-bye: the session ends by Close, not by ctx.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	wg.Go(func() {
		end = u.client.Run(running)
		if r, ok := errors.AsType[*quiclink.Rejection](end); ok {
			end = fmt.Errorf("%w: %w", ErrRefused, r)
		}
		cancel(end)
	})
	select {
	case <-u.push.verdict.fallen:
	case <-ctx.Done():
	}
	if u.push.verdict.known() && u.push.verdict.pass && u.pass != passNever {
		sub.Close()
		err = u.feedTS(ctx, u.packets)
	} else {
		if u.pass == passAlways && ctx.Err() == nil {
			u.push.cfg.Logger.Warn("passthrough=1 is for MPEG-TS, and the input is something else: it goes as tracks", "to", u.target.Addr)
		}
		u.close()
		err = u.feed(ctx, sub)
	}
	if cause := context.Cause(ctx); errors.Is(cause, errDown) || errors.Is(cause, errStarved) { // nobody would hear it, or only late
		stop()
	}
	_ = u.client.Close()
	wg.Wait()
	if running.Err() != nil {
		return err
	}
	if end != nil {
		return end
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (u *uplinkOutput) feed(ctx context.Context, sub *hub.Subscriber) error {
	var known [8]*media.Config
	var out transport.Frame
	for {
		f, err := sub.Read(ctx)
		if err != nil {
			return err
		}
		if int(f.Track) < len(known) && f.Config != known[f.Track] {
			known[f.Track] = f.Config
			u.client.SetTracks(wireTracks(known[:]))
		}
		out = transport.Frame{Track: f.Track, Codec: transport.Codec(f.Codec), PTS: f.PTS, DTS: f.DTS, Data: f.Payload}
		for _, m := range [...]struct {
			from media.Flags
			to   transport.Flags
		}{{media.Key, transport.Key}, {media.Droppable, transport.Droppable}, {media.Discontinuity, transport.Discontinuity}} {
			if f.Flags.Has(m.from) && (m.from != media.Key || f.Codec.IsVideo()) {
				out.Flags |= m.to
			}
		}
		switch err := u.client.WriteFrame(&out); {
		case err == nil, errors.Is(err, transport.ErrQueueFull), errors.Is(err, quiclink.ErrReconnecting): // counted there
		default:
			return err
		}
	}
}

// wireTracks describes configurations by track number.
func wireTracks(configs []*media.Config) (out []wire.Track) {
	for i, c := range configs {
		if c == nil {
			continue
		}
		t := wire.Track{ID: uint8(i), Codec: uint8(c.Codec), Width: uint16(c.Width), Height: uint16(c.Height), Channels: uint8(c.Channels)}
		if t.Rate = uint32(c.FrameRate * 1000); c.Codec.IsAudio() {
			t.Rate = uint32(c.SampleRate)
		}
		t.Config = record(c)
		out = append(out, t)
	}
	return out
}

// record is a configuration as package wire wants it.
func record(c *media.Config) []byte {
	switch c.Codec {
	case media.H264:
		return media.AppendAVCRecord(nil, c)
	case media.H265:
		return media.AppendHEVCRecord(nil, c)
	case media.AV1:
		return media.AppendAV1Record(nil, c)
	case media.AAC:
		return c.ASC
	}
	return nil // Opus: the channels say it
}

// close leaves the input's packets; the connection is run's.
func (u *uplinkOutput) close() {
	if u.packets != nil {
		u.packets.Close()
	}
}

func (u *uplinkOutput) silent() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.client == nil {
		return 0
	}
	return u.client.Silent()
}

func (u *uplinkOutput) starved() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.client == nil {
		return 0
	}
	return u.client.Starved()
}

func (u *uplinkOutput) status() Status {
	u.mu.Lock()
	c := u.client
	u.mu.Unlock()
	st := Status{To: "fairlead://" + u.target.Addr + "/" + u.target.Name, State: quiclink.Connecting.String()}
	if c == nil {
		return st
	}
	s := c.Stats()
	st.State, st.HasPath, st.Carriage, st.RTT = s.State.String(), true, s.Carriage.String(), s.RTT
	st.FramesSent, st.Unsent, st.SendBytes, st.Packets = s.Sender.FramesSent, s.Unsent, s.Sender.BytesSent, s.Sender.Sent
	st.Delivered = s.Relay.Delivered
	st.RecoveredFEC, st.RecoveredResend, st.Late, st.Lost = s.Relay.RecoveredByRepair, s.Relay.RecoveredByResend, s.Relay.Late, s.Relay.Lost
	st.FramesDelivered, st.FramesLost, st.Target, st.Reconnects = s.Relay.FramesDelivered, s.Relay.FramesLost, int64(s.Target), s.Reconnects
	st.Reason, st.Queue, st.Loss = s.Reason, s.Queue, s.Loss
	st.Feedback, st.FeedbackBytes, st.Resent, st.Parity = s.Sender.Feedback, s.Sender.BytesReceived, s.Sender.Resends, s.Sender.Repairs
	return st
}
