// Package netem is the one impairment model of the bench: for every packet of one direction of a
// link it says when it arrives, or why it does not. It speaks the words of tc netem (see
// [ParseWords]) and is pure: time is an argument, counted from the link's start.
//
//	link := netem.NewLink(config, seed, netem.Up)
//	deliver, fate := link.Admit(now, size) // hand the packet over at deliver, unless fate.Drop says why not
//
// # Order of effects
//
// A packet meets the effects in this order, which never changes:
//
//  1. outage     a scheduled window in which nothing passes (dropped)
//  2. loss       random, state, gemodel, getime (dropped; with ecn marked instead)
//  3. corrupt    one bit is wrong
//  4. duplicate  a copy follows right behind; it meets effects 5 to 7 by itself
//  5. policer    a token bucket without a queue (dropped)
//  6. bottleneck a rate, a rate trace, a packet trace or Poisson deliveries, with a queue in front:
//     the queue is full (dropped), CoDel (dropped; with ecn marked), scheduled stalls and random
//     droughts (held)
//  7. delay      propagation and jitter; a reordered packet skips it
//
// Loss stands before the bottleneck, as in tc netem: a lost packet takes no capacity. A lost packet
// is not duplicated (tc would let the copy through), so that the loss ratio is the one configured.
// Delivery is in order, unless jitter or reorder makes a packet overtake another, as in tc netem;
// the word inorder forbids it to jitter.
//
// # One stream per effect
//
// Each effect draws from its own stream of (seed, direction, effect), and draw n is a function of
// n alone. What happens to single packets (loss, corrupt, duplicate, reorder, jitter) is indexed by
// the packet's number, whatever became of it elsewhere: packet 1000 has the same fate in virtual and
// in real time, and switching one effect on moves no other. What happens to the link (capacity,
// Poisson deliveries, droughts, getime) is indexed by time, whatever traffic there is. The offset
// into a trace depends on the seed alone, so that both directions of a recording stay together.
// Streams are integers and the same on every machine; delays pass through floating point and are the
// same on one architecture.
//
// # Where tc netem differs
//
// CORR of loss, corrupt, duplicate and reorder is the exact correlation of one packet's fate with
// the next one's, and keeps P exact; tc's filter keeps neither. CORR of delay keeps the distribution
// as well; for normal it is the exact correlation of successive delays. A percentage needs its %
// sign, a time and a rate their unit. Queue limits count the bottleneck alone, not the packets in
// propagation. Jitter is cut at ±4 times JITTER, like tc's tables, and a delay is never negative.
//
// # Memory
//
// A link keeps one entry for each packet in its queue (16 bytes), so at most the queue limit; a link
// with a limit in bytes and packets of one byte keeps that many. A trace is shared, not copied.
//
// Left to others: carrying bytes (bench/emu), virtual time (bench/sim), named links (bench/netem/profile).
package netem
