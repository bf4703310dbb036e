// Package emu puts the impairment model of bench/netem on live traffic: bad links on demand, for any program.
//
// There are two ways across a link, with one model and one loop behind both:
//
//		                 ┌──────────── carrier: one thread ────────────┐
//		near namespace ──┤ TUN ─▶ netem.Link (up)   ─▶ heap by due time ├─▶ TUN ── far namespace     Pair
//		client sockets ──┤ UDP ◀─ heap by due time ◀─ netem.Link (down) ├── UDP ── target            UDPProxy
//		                 └─────────────────────────────────────────────┘
//
//	  - [Pair]: two network namespaces joined by TUN devices. Kernel TCP, UDP and everything else on IP crosses it, and
//	    each IP packet has its own fate. It needs CAP_NET_ADMIN and CAP_SYS_ADMIN.
//	  - [UDPProxy]: datagrams through loopback sockets. It needs no privilege.
//	  - [TCPProxy]: delays and rates of a TCP stream, without privilege. No program in user space can lose a packet of a
//	    TCP connection that the kernel terminates: for anything about loss, and for comparing TCP with another protocol,
//	    use a Pair.
//
// A packet's fate depends on its number, the time and its size alone, so a second run with the same seed loses the same
// packet numbers, and bench/sim gives the same verdicts. Verdicts of Config writes them down.
//
// Precision: the carrier waits with nanosecond timers on a thread of its own, with real-time priority where the process
// may have it (CAP_SYS_NICE), brings the processor of Go's that its waiting takes (GOMAXPROCS grows by one), and counts how late it was: Counters.LateP99 above 2 ms says that the host was too busy for
// the run to count.
//
// Cleaning up: the namespaces have no name and the devices belong to descriptors, so both vanish with the process, even a
// killed one. Programs started with Pair.Command die with it; what those started is killed by the next start, which
// knows it by a mark in the namespace and a record in a state folder (see RemoveLeftovers).
//
// Left to others: what a link does to a packet (bench/netem), what it did to a stream (bridge/stutter, bench/run).
package emu
