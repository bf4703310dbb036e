// Package stutter judges a live stream as a viewer sees it: a reference player with a given buffer, fed
// with frames and their arrival times, and its score.
//
// # The player
//
// A [Meter] judges one track; give picture and sound each their own. Frames are observed in decoding order,
// as every container delivers them. A frame that comes after a later one is counted (OutOfOrder) and is lost.
//
//   - Decodable: a key frame is; any other frame is when every frame that others refer to has arrived since
//     the last key frame. So a missing reference makes everything up to the next key frame undecodable, and a
//     missing droppable frame hurts only itself.
//   - Missing: with the source's frame list (Config.Source) exactly the frames of the list that did not come.
//     Without it, a step between timestamps of more than 1.5 frame intervals (the lower quartile of the last 31)
//     stands for the frames that would fill it; it breaks references only where the reader saw a loss
//     (Frame.Discontinuity), because sources with a variable frame rate leave such steps on purpose.
//   - Start: the player takes the first key frame and starts as soon as the media that has arrived since
//     reaches the buffer B, or the source's last frame is there. The key frame is shown then, and every later
//     frame is due at its distance in decoding time from it.
//   - Show: a decodable frame is shown at its due time, or when it arrives if that is later. Frames that are
//     not decodable are skipped. There is no speeding up and no jumping ahead.
//   - Stall: nothing new was shown for more than 100 ms after the due time of the first frame not shown yet.
//     The whole wait counts, from that due time until the next frame is shown.
//   - After a stall the player goes on with the first decodable frame it has, at once, without filling its
//     buffer again; if that frame was late, the playout clock moves back by as much, for good. The same delay
//     does not stall it twice, and the viewer is that much further behind. A wait of up to 100 ms moves
//     nothing: the frames behind it keep their due times.
//   - Held: a frame that repeats the last picture (a frozen picture, a slate; Frame.Held) is not something new
//     to see. Time filled with such frames is a stall.
//   - Timeline: timestamps that go back, or ahead by more than Config.MaxGap, are a new timeline; its first
//     frame is due right behind the last one of the old. The silence in between counts by arrival time.
//   - Never started: the whole time counts as one stall.
//
// # The score
//
// Latency is arrival minus capture where the capture time is known, and otherwise relative to the fastest frame
// of the stream. D999 is the smallest latency at which 99.9 % of the frames the source made are decodable; it
// does not exist when more than 0.1 % never are. Everything is incremental: a score can be asked for at any
// time, and equals that of a player that saw only what had arrived by then.
//
// Memory: per Meter and player at most 4096 frames while the buffer fills, 256 stalls kept for drawing (all are
// counted), 4096 stalls that lie ahead of the last arrival, and two histograms of 8192 bins: under 2 MiB.
//
// What this package leaves to others: reading streams (bench/watch), knowing the source (bench/run), drawing
// (bench/report).
package stutter
