package srtlink

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bench/need"
)

// Statistics name each link of a caller that uses several.
func TestLinksOfSRTLA(t *testing.T) {
	got := make(chan []LinkStats, 1)
	addr := startListener(t, 20*time.Millisecond, func(Request) (func(context.Context, *Conn), error) {
		return func(_ context.Context, c *Conn) {
			_ = c.Deliver(func(time.Time, []byte) error {
				if links := c.Stats().Links; len(links) > 0 && links[0].Received > 20 {
					select {
					case got <- links:
					default:
					}
				}
				return nil
			})
		}, nil
	})
	conn, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The link registers, and the caller shakes hands over it.
	b := append([]byte{0x92, 0x00}, make([]byte, 256)...)
	for _, want := range []byte{0x01, 0x02} {
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		in := make([]byte, 2048)
		_ = conn.SetReadDeadline(time.Now().Add(need.Patience))
		n, err := conn.Read(in)
		if err != nil || n < 2 || in[0] != 0x92 || in[1] != want {
			t.Fatalf("%x, %v", in[:n], err)
		}
		b = append([]byte{0x92, 0x01}, in[2:n]...)
	}
	_ = conn.SetReadDeadline(time.Time{})
	k, err := talkOver(conn, "publish:live/a", 7)
	if err != nil {
		t.Fatal(err)
	}
	go k.answer()
	for range 4000 {
		k.send()
		time.Sleep(2 * time.Millisecond)
		select {
		case links := <-got:
			l := links[0]
			if len(links) != 1 || l.Kind != "srtla" || !l.Active || l.Peer.String() != conn.LocalAddr().String() || l.ReceivedBytes < 20*1316 {
				t.Errorf("%+v", links)
			}
			return
		default:
		}
	}
	t.Error("no link was seen")
}
