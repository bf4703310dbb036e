// Package auth decides who may publish and who may watch, the same way for every protocol.
//
//	Request ─▶ Guard ─▶ too many failures? ─▶ key ─▶ token ─▶ JWT ─▶ signed URL ─▶ hook ─▶ admitted, or *Denied
//
// The ways that are configured are alternatives: one that says yes is enough. A credential that is there and wrong
// (expired, tampered, for another stream, replayed) is a no at once; only a request without one is handed to the next
// way. Comparison of secrets takes constant time. A *Denied carries the reason for the operator's log; what the peer
// is told is Denied.Peer, which gives nothing away.
//
// Memory: 4,096 addresses that failed lately with 20 failures each (4 MiB), 65,536 tokens seen, one cached key set.
//
// What it leaves to others: taking credentials out of a protocol (the servers), sessions, and encryption.
package auth
