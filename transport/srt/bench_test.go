package srt

import (
	"bytes"
	"testing"
	"time"
)

// One packet from the socket to the reader: 1316 bytes, 20 connections by turns, clear and AES-128-CTR.
func BenchmarkPacket(b *testing.B) {
	for _, pass := range []string{"", secret} {
		name := "clear"
		if pass != "" {
			name = "ctr"
		}
		b.Run(name, func(b *testing.B) {
			s, now := newServer(Config{Latency: 120 * time.Millisecond, Passphrase: pass}), time.Unix(1e9, 0)
			var conns []*Conn
			for i := range uint32(20) {
				tx := newCaller(i+1, 1000, "k", 0)
				if pass != "" {
					tx.km = keyMessage(1, cipherCTR, 0, []byte("0123456789abcdef"), bytes.Repeat([]byte{1}, 16), 16)
				}
				tx.began = now
				for range 2 {
					s.l.HandleDatagram(now, addrA, tx.handshake(now))
					s.drive(now)
					for _, p := range s.out {
						tx.HandleDatagram(now, p)
					}
					s.out = nil
				}
				conns = append(conns, s.conn)
			}
			p, out := make([]byte, HeaderLen+1316), make([]byte, 0, 1500)
			b.SetBytes(1316)
			b.ReportAllocs()
			for i := range b.N {
				n := uint32(i / 20)
				h := Header{Seq: 1000 + n, Position: 3, MessageNo: n + 1, Timestamp: 2632 * n, Dest: conns[i%20].id}
				if pass != "" {
					h.Key = keyEven
				}
				h.Append(p[:0])
				s.l.HandleDatagram(now, addrA, p)
				if i%8 != 7 {
					continue
				}
				now = now.Add(8 * 2632 * time.Microsecond / 20)
				for c := s.l.Next(now); c != nil; c = s.l.Next(now) {
					for _, ok := c.PopPayload(now); ok; _, ok = c.PopPayload(now) {
					}
					for o, ok := c.AppendDatagram(out, now); ok; o, ok = c.AppendDatagram(out, now) {
						_ = o
					}
				}
			}
		})
	}
}
