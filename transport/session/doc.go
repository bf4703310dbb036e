// Package session is the uplink's protocol: where wire, srtp, arq, playout, fec
// and congestion meet. A Sender takes frames and gives datagrams; a Receiver
// takes datagrams and gives frames and feedback. Both are pure and follow the
// driving rule of package transport.
//
//	WriteFrame ─▶ cut into equal packets ─▶ queues ─▶ pacer ─▶ AppendDatagram
//	                │ block: ≤ 96 packets, deadline     ▲
//	                ▼                                   │ resends, repairs
//	             fec.Encoder ◀─ policy ◀─ arq.Tracker ◀─┴─ HandleDatagram (RFC 8888)
//
//	HandleDatagram ─▶ srtp ─▶ wire ─▶ playout ─▶ PopPayload
//	                    │       └─▶ fec.Decoder ──▲
//	                    └─▶ recorder ─▶ AppendDatagram (RFC 8888)
//
// Order of sending: audio, notices and probes, resends and repairs that answer a
// loss, then media in its order with the repairs sent ahead behind each block.
//
// What it leaves to others: sockets, the QUIC connection, the control stream and
// keys (quiclink), the encoder (uplink), meaning of the frames (bridge).
package session
