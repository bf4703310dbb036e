// Package srt is SRT as pure objects: the listener's handshake and the receiving side of the connections it makes, and a Caller,
// the sending side.
//
// It follows draft-sharabayko-srt-01 ("the draft") where that says enough, and libsrt where it does not. A Listener is
// fed datagrams; it answers handshakes, hands out a Request for each caller that has proved its address, and owns the
// connections that were accepted. One driving rule:
//
//	l.HandleDatagram(now, from, b)                 // or the time of NextTimeout has come
//	for c := l.Next(now); c != nil; c = l.Next(now) {
//		for p, ok := c.PopPayload(now); ok; …      // what is due
//		for b, ok := c.AppendDatagram(buf, now); … // to c.Peer()
//	}
//	for b, to, ok := l.AppendDatagram(buf, now); … // handshake responses
//	for r, ok := l.NextRequest(); ok; …            // decide: l.Accept(now, r) or l.Reject(r, code)
//	sleep until l.NextTimeout()
//
// Every packet has 16 bytes of header, draft §3; all numbers are big endian:
//
//	 0                   1                   2                   3
//	+-+-------------------------------------------------------------+
//	|0|                    sequence number (31)                     |  data
//	+-+-+-+-+-+-----------------------------------------------------+
//	|PP |O|KK |R|              message number (26)                  |
//	+---+-+---+-+---------------------------------------------------+
//	+-+-----------------------------+-------------------------------+
//	|1|      control type (15)      |          subtype (16)         |  control
//	+-+-----------------------------+-------------------------------+
//	|                   type-specific information                   |
//	+---------------------------------------------------------------+
//	|         timestamp, µs since the sender's socket start         |  both
//	+---------------------------------------------------------------+
//	|                     destination socket id                     |
//	+---------------------------------------------------------------+
//
// Message number 0 marks parity of the packet filter, which is no media; see package filter.
//
// Bounds: a connection has at most MaxRing slots (48 bytes each) and as many packets of 1500 bytes as it holds, of which a
// Listener has Config.MaxBuffered bytes in all; pending requests, handshake responses and connections are bounded by Config.
//
// What it leaves to others: sockets, clocks and goroutines (srtlink), stream ids and who may publish (srtlink, bridge),
// playing (gosrt, in srtlink), bitrates (adapt), parity (filter), SRTLA (srtla).
package srt
