package quiclink

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/fairlead-live/fairlead/transport/srtp"
)

// ALPN is the application protocol of TLS; the digit is the major version of package wire.
const ALPN = "fairlead/1"

// exporterLabel is under RFC 5705's prefix for private use.
const exporterLabel = "EXPERIMENTAL fairlead srtp"

// When keys are changed.
const (
	rekeyEvery = time.Hour // design.md §2
	rekeyAfter = 1 << 27   // packets: half of what RFC 9001 Appendix B gives packets of 2 kB
)

// exportKeys derives the SRTP keys of both directions of one path and epoch; both ends get the same.
func exportKeys(cs tls.ConnectionState, session [16]byte, path uint8, epoch uint32) (client, server srtp.Keys, err error) {
	context := append(session[:], path)
	context = binary.BigEndian.AppendUint32(context, epoch)
	b, err := cs.ExportKeyingMaterial(exporterLabel, context, 2*(srtp.KeySize+srtp.SaltSize))
	if err != nil {
		return client, server, fmt.Errorf("quiclink: export keys: %w", err)
	}
	for _, field := range [][]byte{client.Key[:], server.Key[:], client.Salt[:], server.Salt[:]} {
		b = b[copy(field, b):]
	}
	return client, server, nil
}

// ends makes what seals and opens one side's packets.
func ends(send, receive srtp.Keys) (*srtp.Sealer, *srtp.Opener, error) {
	seal, err := srtp.NewSealer(send)
	if err != nil {
		return nil, nil, err
	}
	open := srtp.NewOpener()
	return seal, open, open.SetKeys(0, receive)
}

// keyring holds one end's keys of a path and changes them by epoch.
//
//	publisher: take n into open ── rekey n ──▶ relay: take n into open, seal with n
//	           seal with n  ◀──── rekey n ────
//
// Nobody seals with keys the other end has not taken in, so that a change loses no packet whatever order things arrive in.
type keyring struct {
	export func(epoch uint32) (send, receive srtp.Keys, err error)
	seal   *srtp.Sealer
	open   *srtp.Opener

	opens, seals uint32        // newest epoch of each
	next         srtp.Keys     // of seal, once it may be used
	since        time.Time     // when the epoch of seal began
	every        time.Duration // rekeyEvery, shorter in tests
}

func newKeyring(now time.Time, export func(epoch uint32) (send, receive srtp.Keys, err error)) (*keyring, error) {
	k := &keyring{export: export, since: now, every: rekeyEvery}
	send, receive, err := export(0)
	if err != nil {
		return nil, err
	}
	k.seal, k.open, err = ends(send, receive)
	return k, err
}

// due reports whether the keys in use have served long enough and none are being changed.
func (k *keyring) due(now time.Time) bool {
	return k.opens == k.seals && (now.Sub(k.since) >= k.every || k.seal.Sealed() >= rekeyAfter)
}

// take readies open for the epoch after that of seal.
func (k *keyring) take() error {
	send, receive, err := k.export(k.seals + 1)
	if err != nil {
		return err
	}
	k.next = send
	k.opens = k.seals + 1
	return k.open.SetKeys(k.opens, receive)
}

// use seals with the keys taken last from now on and returns their epoch.
func (k *keyring) use(now time.Time) (uint32, error) {
	k.seals, k.since = k.opens, now
	return k.seals, k.seal.SetKeys(k.next)
}
