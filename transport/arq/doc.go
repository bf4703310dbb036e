// Package arq is the sender's memory of what it sent: each transport sequence
// number with what it carried, until feedback (RFC 8888) says what became of it.
//
// There is no NAK. A report says which packets arrived; the holes in it are
// losses once the reorder window has passed, and since every number maps to what
// was inside, the sender knows what is missing at the other end.
//
//	sent ──▶ in flight ──▶ acked
//	              │           ▲
//	              └──▶ lost ──┘  late: it had only been overtaken or delayed
//
// A packet is lost when a report shows that
//   - a packet sent after it has arrived, and the reorder window has passed since that was known; or
//   - the report was made later than the packet's arrival was to be expected, so that the loss of the
//     last packets of a frame shows although nothing followed them. That is as long after its sending as the slowest packet of late took, and
//     longer by as much as one came late that had been given up so: nothing at first, at most min(RTT/8, 5 ms), as the reorder window.
//
// A packet from before what the report tells of is untold, not lost: a report that was lost may have told of it. It is lost when a later
// one goes back to it without it, or none has for 50 ms.
//
// The second kind is presumed: the path may only stand still. It is answered like any other, but what is learned about the path
// from losses (Fates, Event.Presumed) waits until a packet sent later arrives and makes it certain.
//
// The reorder window is 0 until reordering is seen, then as long as what was seen (RFC 8985 §3.3.2
// adapts it in the same way), never more than min(RTT/8, 5 ms).
//
// Memory: 48 bytes for each of Config.Packets records, and 4 KiB.
//
// What it leaves to others: what to do about a loss (session), when to ask for
// feedback (session) and how fast to send (congestion).
package arq
