package ingest

import (
	"bytes"
	"testing"

	"github.com/fairlead-live/fairlead/transport"
)

// What is passed through is whole packets, or is dropped with a reason.
func TestUplinkPassesWholePackets(t *testing.T) {
	packet := make([]byte, 188)
	packet[0], packet[1], packet[3] = 0x47, 0x40, 0x10 // a PAT begins
	for _, c := range []struct {
		data []byte
		ok   bool
	}{{packet, true}, {bytes.Repeat(packet, 28), true}, {packet[:187], false}, {append(bytes.Clone(packet), 0x47), false}, {make([]byte, 188), false}, {nil, false}} {
		var u Uplink
		u.Payload(&transport.Payload{Codec: transport.Passthrough, Data: c.data})
		if p := u.TS(); bytes.Equal(p.Data, c.data) != c.ok && len(c.data) > 0 || p.Tables != c.ok || u.Stats().Drops[UplinkBadTS] == 0 != c.ok {
			t.Errorf("%d bytes: %d, tables %v, drops %v", len(c.data), len(p.Data), p.Tables, u.Stats().Drops)
		}
		u.Payload(&transport.Payload{Codec: transport.AAC, Data: packet})
		if u.TS().Data != nil {
			t.Error("the last payload had none")
		}
	}
}
