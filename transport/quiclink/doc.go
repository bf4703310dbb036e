// Package quiclink carries the uplink's sessions (package session) over the network: QUIC for the handshake, the
// control stream and the validation of addresses, SRTP beside it on the same UDP socket for media (RFC 9443).
//
//	           ┌─ first byte 128..191 ─▶ inbox of the session with this path tag ─▶ session goroutine ─▶ Sink
//	socket ────┤
//	           └─ the rest ────────────▶ quic-go ─▶ control stream (package wire)
//
// One goroutine owns a session: it takes datagrams and control messages in, drives the Sender or Receiver and writes
// what they have to say. The SRTP keys come from the TLS exporter:
//
//	label "EXPERIMENTAL fairlead srtp", context = session id (16) ‖ path id (1) ‖ epoch (4), 56 bytes:
//	client master key 16, server master key 16, client master salt 12, server master salt 12   (order of RFC 5764 §4.2)
//
// Media is found by its path tag, never by its address. Feedback goes to the address of the newest authenticated
// packet, and while QUIC has not validated that address, at most three times the bytes that came from it
// (RFC 9000 §8). A publisher that comes back with its session id goes on where it was while the relay still has the
// session: until a latency after its connection's end. Where media beside QUIC does not get through, the same packets travel
// in QUIC DATAGRAM frames, until probes beside QUIC get through again.
//
// Memory per session: the Receiver's or Sender's own bounds, and an inbox of at most 1024 datagrams.
//
// What it leaves to others: every protocol decision (session, wire), who may publish and what the frames mean (the
// Admit function and the Sink it returns), files and flags (cmd).
package quiclink
