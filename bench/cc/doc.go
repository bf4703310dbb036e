// Package cc is the bench of package congestion: flows over one bottleneck in virtual time.
//
//	r := cc.Run(cc.Constant(0.1, 1), seed)
//	fmt.Println(r.Utilisation, r.QueueP95)
//
// A flow of ours is an encoder model (30 pictures a second, noise, key frames, late to react), a sender's
// queue, pacer and window as transport/session has them, and a receiver that reports by RFC 8888 every 20 ms
// or 16 packets, the last 100 ms each time. Bulk flows are models of Reno, Cubic and BBR. The bottleneck is
// bench/netem's, shared by all; loss may stand behind it, as on the air, or before it.
//
// Reported, after the first 5 s: utilisation (bytes that arrived of ours, of what the link could carry) and the
// p95 of the time packets waited at the bottleneck, as Sprout and Pantheon do; without the packets that met
// an outage of the link (no delivery for 200 ms) where that is said.
//
// Families make links that no constant was shaped on, another one for each seed; flows may run under a model of SCReAMv2
// or under an oracle that knows the link as it was a round trip ago. `fairlead bench cc` prints the scoreboard.
//
// What it leaves to others: the real sender (transport/session, tested over bench/sim.World), stutter (bridge/stutter).
package cc
