// Package wire is fairlead's datagram format: it appends and parses. docs/wire.md
// draws the same and lists golden bytes for each message.
//
// # Datagrams
//
// Media travels in SRTP beside QUIC on one UDP socket (RFC 9443): first bytes
// 128..191 are ours, the rest is QUIC's. With the DATAGRAM fallback the same
// packets travel unsealed inside QUIC.
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+---+-+-+-------+-+-------------+-------------------------------+
//	|V=2|0|0|  CC=0 |0|   PT = 96   |  transport sequence, low 16   |
//	+---+-+-+-------+-+-------------+-------------------------------+
//	|             send time, sender's clock, µs, low 32             |
//	+-------------------------------------------------------+-------+
//	|           path tag (28), chosen by the relay          | epoch |  SSRC
//	+-------------------------------------------------------+-------+
//	|     type      |  body …                        (encrypted)    |
//	+---------------+-----------------------------------------------+
//
// One packet sequence per path counts everything that is sent on it. A resend
// is a new packet with a new sequence number. Media has a sequence of its own,
// session-wide, without gaps, over all tracks.
//
// # Bodies
//
// Source (type 1) and resend (type 2): a piece of a frame. The bytes after the
// type are the same in both; they are also what a repair symbol covers.
//
//	+---------------------------------------------------------------+
//	|                     media sequence, low 32                    |
//	+-+-+-+-+-+-+-+-+---------------+-------------------------------+
//	|S|E|K|D|C|X|0|0|    track      |  S=1: frame header, then data |
//	+-+-+-+-+-+-+-+-+---------------+-------------------------------+
//	S start, E end of frame, K key, D droppable, C codec configuration, X discontinuity
//
//	frame header, 16 bytes, in the packet with S=1
//	+---------------+-------------------------------+---------------+
//	|     codec     |     frame number, low 16      |  capture time …
//	+---------------+---------------+---------------+---------------+
//	  … µs, low 32, sender's clock  |            DTS …              |
//	+-------------------------------+---------------+---------------+
//	  … µs, 48 bits, signed                         |  PTS − DTS …  |
//	+-------------------------------+---------------+---------------+
//	  … µs, 24 bits, signed         |  data …
//	+-------------------------------+
//
// Repair (type 3): one row of the code of package fec over a run of media packets.
//
//	+---------------------------------------------------------------+
//	|                  base, media sequence, low 32                 |
//	+-+-------------+-+-------------+---------------+-+-+-+-+-------+
//	|0|  count − 1  |0|     row     |     round     |K|A|S|L|   0   |
//	+-+-------------+-+-------------+---------------+-+-+-+-+-------+
//	|  milliseconds to the deadline |  repair symbol …              |
//	+-------------------------------+-------------------------------+
//	K protects a key frame, A audio, S a sliding window, L last of its round
//
// Probe (type 4): says how far the media sequence goes, so that a lost tail is
// noticed. Zeros may follow, to measure capacity.
//
//	+---------------------------------------------------------------+
//	|       media sequence after the newest one sent, low 32        |
//	+---------------------------------------------------------------+
//
// Abandon (type 5): the sender gives up a run of media packets.
//
//	+---------------------------------------------------------------+
//	|                  base, media sequence, low 32                 |
//	+-------------------------------+---------------+---------------+
//	|             count             |    reason     |
//	+-------------------------------+---------------+
//
// # Feedback
//
// RTCP congestion control feedback (RFC 8888), one block a packet, in SRTCP.
// The sender SSRC and the media SSRC are those of the path.
//
//	+---+-+---------+---------------+-------------------------------+
//	|V=2|0| FMT=11  |    PT = 205   |   length in 32-bit words − 1  |
//	+---+-+---------+---------------+-------------------------------+
//	|                         SSRC of sender                        |
//	+---------------------------------------------------------------+
//	|                      SSRC of the media                        |
//	+-------------------------------+-------------------------------+
//	|  first sequence reported on   |  number of packets n          |
//	+-+---+-------------------------+-+---+-------------------------+
//	|R|ECN|  arrival offset, 1/1024 s |R|ECN|  …  (a 16-bit pad if n is odd)
//	+-+---+-------------------------+-+---+-------------------------+
//	|      report time, 1/65536 s, receiver's clock                 |
//	+---------------------------------------------------------------+
//
// # Control stream
//
// One bidirectional QUIC stream carries messages, each a type byte, a 24-bit
// length and a body (control.go). Unknown types are skipped, bytes after the
// known fields of a body are ignored: so both can grow.
//
// What this package leaves to others: encryption (srtp), what to send when (arq,
// session) and the code behind a repair symbol (fec).
package wire

import "errors"

// Version is the version of this format that we speak. It travels in the hello.
const Version = 1

// ErrMalformed is returned for bytes that do not parse.
var ErrMalformed = errors.New("wire: malformed")
