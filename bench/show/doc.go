// Package show plays a live stream over a bad link in virtual time and scores what a viewer gets: seconds of
// computing for minutes of media, the same run for the same seed.
//
//	encoder ─Frame─▶ Sender (the scheme's) ─▶ links of bench/netem ─▶ Stage.Deliver ─▶ bridge/stutter
//	   ▲ bitrate, key frames │
//	   └─────────────────────┘
//
// A scheme is a transport with a rule for its encoder; Schemes lists those that come with the package. A Sender is all that
// another one needs.
//
// Encoder models: "fixed" makes a bitrate and nothing moves it; "keys" does, and makes a key frame when it is asked
// to; "adaptive" follows the bitrate it is told three frames later, and makes key frames when asked to.
//
// What it leaves to others: the link (bench/netem), virtual time (bench/sim), the player (bridge/stutter), flags and
// tables (bench/cli).
package show
