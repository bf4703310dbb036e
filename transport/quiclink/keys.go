package quiclink

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"

	"github.com/fairlead-live/fairlead/transport/srtp"
)

// ALPN is the application protocol of TLS; the digit is the major version of package wire.
const ALPN = "fairlead/1"

// exporterLabel is under RFC 5705's prefix for private use.
const exporterLabel = "EXPERIMENTAL fairlead srtp"

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
