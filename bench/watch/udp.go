package watch

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
)

// socketBuffer holds half a second of a 60 Mbit/s stream while this process waits for its turn.
const socketBuffer = 4 << 20

func readUDP(ctx context.Context, u *url.URL, n Network, emit func(*media.Frame)) error {
	c, err := listenUDP(ctx, u, n)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	stop := closeWhenDone(ctx, c)
	defer stop()
	d := mpegts.NewDemuxer(mpegts.Config{})
	b := make([]byte, readSize)
	for {
		k, _, err := c.ReadFrom(b)
		if err != nil {
			return ended(ctx, err)
		}
		d.Write(time.Now(), payload(b[:k]))
		drain(d, emit)
	}
}

func listenUDP(ctx context.Context, u *url.URL, n Network) (net.PacketConn, error) {
	host := u.Host // url.Parse takes the @ of udp://@239.1.1.1:1234 for an empty user
	addr, err := net.ResolveUDPAddr("udp", host)
	if err != nil {
		return nil, err
	}
	var c net.PacketConn
	if addr.IP.IsMulticast() {
		c, err = net.ListenMulticastUDP("udp", nil, addr)
	} else {
		c, err = n.listenPacket(ctx, "udp", host)
	}
	if s, ok := c.(interface{ SetReadBuffer(int) error }); err == nil && ok {
		_ = s.SetReadBuffer(socketBuffer) // less is allowed
	}
	return c, err
}

// payload strips an RTP header (RFC 3550 §5.1, no extension, MPEG-TS as in RFC 2250 §2) where there is one.
func payload(b []byte) []byte {
	if len(b) > 12 && b[0]&0xd0 == 0x80 && b[0] != 0x47 {
		if h := 12 + 4*int(b[0]&0x0f); h < len(b) && b[h] == 0x47 {
			return b[h:]
		}
	}
	return b
}
