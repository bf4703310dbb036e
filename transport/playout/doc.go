// Package playout puts frames together from their packets and lets them go: at
// constant latency, or as soon as they are in order.
//
//	media sequence   0  1  2 | 3  4 | 5  6  7 | 8 …
//	                 S     E   S  E   S  ×  E   S        × missing
//	                 released  released ▲
//	                                    cursor: waits for 6 until the frame is due
//
// A frame is due one latency after its capture plus the least one-way delay of
// the path: so the clocks of both ends need not agree, and a packet that took
// the fastest way has the whole latency as slack. A frame that is incomplete
// when it is due is dropped; a later frame that is due drops what is before it;
// packets the sender abandoned are not waited for.
//
// Each media sequence number below the cursor is counted once, as delivered,
// recovered, late or lost (package transport, sum rule).
//
// Memory: Config.Packets slots of 64 bytes, a buffer for each packet held, and
// one for the largest frame.
//
// What it leaves to others: decryption, repair symbols and feedback (session).
package playout
