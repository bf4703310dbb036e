package quiclink

import (
	"net/netip"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/srtp"
)

// Keys change some hundred times, several times round the sixteen epochs the wire can tell apart, and no packet is lost by it.
func TestRekeyingLosesNoPacket(t *testing.T) {
	need.RealTime(t)
	t.Parallel()
	sink := newCollector()
	l := relayFor(t, sink)
	c, done := publish(t, urlOf(l, netip.AddrPort{}, "&transport=srtp"), steady, func(c *Client) {
		c.first.keys.every = 20 * time.Millisecond
	})
	feed(t, c, 0, 250)
	sink.has(250)
	finish(t, c, done, sink)
	sink.wantAll(t, 250)
	if n := c.first.keys.seals; n < 20 {
		t.Errorf("keys changed %d times, want 20 at least", n)
	}
	st := c.Stats()
	for who, d := range map[string]transport.Drops{"relay": sink.end.Stats.Drops, "publisher": st.Sender.Drops} {
		if n := d[transport.DropUnauthentic] + d[transport.DropReplayed]; n != 0 {
			t.Errorf("the %s could not open %d packets: %v", who, n, d)
		}
	}
}

func TestKeysChangeWhenTheyAreOld(t *testing.T) {
	now := time.Now()
	a, b := keyrings(t, now)
	if a.due(now.Add(rekeyEvery-1)) || !a.due(now.Add(rekeyEvery)) {
		t.Error("keys do not change after an hour")
	}
	head := make([]byte, 12)
	seal := func(index int64) []byte {
		head[3], head[11] = byte(index), byte(a.seals%16)
		out, err := a.seal.SealRTP(append([]byte(nil), append(head, "media"...)...), 0, index)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	opens := func(why string, p []byte, want bool) {
		if _, _, err := b.open.OpenRTP(nil, p, false); (err == nil) != want {
			t.Errorf("%s: %v", why, err)
		}
	}
	old := seal(0)
	step := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	step(a.take())
	if a.due(now.Add(2 * rekeyEvery)) {
		t.Error("keys change before the change before is over")
	}
	opens("before the relay has the new keys", seal(1), true)
	step(b.take())
	_, err := b.use(now)
	step(err)
	opens("old keys, on the way meanwhile", seal(2), true)
	_, err = a.use(now)
	step(err)
	opens("new keys", seal(3), true)
	opens("a packet that was overtaken", old, true)
	step(a.take())
	step(b.take())
	opens("one epoch later", seal(4), true)
}

// keyrings are both ends' of one path, without TLS.
func keyrings(t *testing.T, now time.Time) (publisher, relay *keyring) {
	t.Helper()
	export := func(swap bool) func(uint32) (srtp.Keys, srtp.Keys, error) {
		return func(epoch uint32) (a, b srtp.Keys, err error) {
			a.Key[0], b.Key[0] = byte(epoch), byte(epoch)+100
			if swap {
				a, b = b, a
			}
			return a, b, nil
		}
	}
	publisher, err := newKeyring(now, export(false))
	if err != nil {
		t.Fatal(err)
	}
	if relay, err = newKeyring(now, export(true)); err != nil {
		t.Fatal(err)
	}
	publisher.every, relay.every = rekeyEvery, rekeyEvery
	return publisher, relay
}
