// Package fec is an elastic erasure code for live media and the arithmetic that says how much of it to send.
//
// # The code
//
// One fixed matrix serves every block, every sliding window and every round. It is the 128×128 Cauchy matrix over
// GF(2^8) modulo x^8+x^4+x^3+x^2+1 (0x11D, the field of RFC 5510 §8.1 and RFC 8681 §3.7.1):
//
//	                       count-1
//	repair(base,count,row) =  Σ   coef(row, base+i) · symbol(base+i)        1 ≤ count ≤ 128, 0 ≤ row ≤ 127
//	                         i=0
//	coef(row, seq) = 1 / ((128+row) ⊕ (seq mod 128))                        never 1/0: the high bits differ
//
//	seq mod 128 →   0    1    2        127
//	row 0        [ c00  c01  c02  …  c0,127 ]    every square submatrix of a Cauchy matrix is regular: any e
//	row 1        [ c10  c11  c12  …         ]    repairs with different rows over one range mend any e losses
//	 …                                           in it (MDS). A range is a run of columns, wrapping at 128.
//
// A coefficient depends on neither the length of a block nor the number of its repairs. So a block may close late, its
// parity may grow in later rounds and still count together with the first (incremental redundancy), and ranges that
// overlap form a sliding window: the decoder keeps every equation and solves what can be solved.
//
// # The source symbol
//
// The payload is the bytes of one media packet that are the same in its first sending and in a retransmission
// (package transport/wire says which). seq is the media sequence number, unwrapped, without gaps; all tracks share it.
//
//	 0                   1                   2
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3
//	+-------------------------------+---------------+----------- … -+-------- … --+
//	|  payload length n, big endian |       payload, n bytes        |  zeros to E |
//	+-------------------------------+---------------+----------- … -+-------- … --+
//
// Only the payload travels. The length and the zeros exist in memory alone. E, the length of a repair symbol, is the
// length of the longest source symbol in its range (2 + n): a repair is at most two bytes longer than the longest
// payload it covers. The receiver learns E from the length of the repair, and base, count and row from fields that
// the transport carries: base 32 bits (unwrapped like any sequence number), count-1 7 bits, row 7 bits.
//
// After solving, the length must fit and the rest must be zero; a symbol that fails this is dropped and counted.
//
// # Memory
//
// An [Encoder] holds Config.Symbols symbols, a [Decoder] as many symbols or equations (a missing symbol's place holds
// the equation that is solved for it) and the coefficients of up to Config.Equations equations. [Config.EncoderBytes]
// and [Config.DecoderBytes] are the bounds: 393 KiB and 425 KiB by default, and less while packets are shorter, for
// buffers grow to the longest symbol seen. That is fec's share of the 512 KiB of FEC and ARQ state of a stream; the
// encoder's ring is the retransmission store as well ([Encoder.Payload]), so the transport needs none of its own.
//
// # How much to send
//
//	feedback ─▶ LossEstimator ─ p⁺, L̂ ─▶ Planner ─▶ Plan ─▶ Proactive: parity behind a block's first sending
//	         ─▶ RoundEstimator ─▶ TransmissionsLeft ─┘     ├─▶ Repair:    packets in a later round (never fewer than missing)
//	                                                       ├─▶ Blocks:    frames to a block;  SubBlock: cuts of a key frame
//	                                                       └─▶ Window:    repairs per packet when no round fits
//
// A Plan minimises the packets sent for a target of blocks lost, which differs by [Class], by dynamic programming over
// the rounds left, the symbols missing and the fate of the last packet. Parity counts in every later round. On a channel
// that it knows it costs what package fec/limit computes as the least; having to guess the channel from feedback adds
// 2 to 15 % to that where one or two rounds fit, and nothing where four do.
//
// A Planner keeps up to 16 plans of 20 KiB; plans belong to channels, not to streams.
//
// What is left to others: sequence numbers on the wire, feedback, timers, pacing and the choice of what to send first.
package fec
