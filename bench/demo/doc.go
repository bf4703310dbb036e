// Package demo shows what fairlead is for in one process: the same clip twice through the same losses, once as plain SRT and
// once as fairlead over QUIC, and what a viewer of each would see.
//
//	          ┌─ quiclink ─▶ UDPProxy ─▶ relay live/fairlead ─┐
//	clip ─▶ push                                              ├─▶ hub ─▶ stutter.Meter, HTTP-FLV, the page
//	          └─ srtlink ──▶ UDPProxy ─▶ relay live/srt ──────┘
//
// Both proxies have one seed: the n-th packet of either meets the same fate. Both transports have the same latency, so that
// neither buys its smoothness with time. RTMP is not among them: it runs on the kernel's TCP, from which no program without
// privileges can take a packet (bench/emu); `fairlead bench run` compares with it.
//
// What it leaves to others: the player's model (bridge/stutter), the page's looks (bridge/page), flags and text (cmd/fairlead).
package demo
