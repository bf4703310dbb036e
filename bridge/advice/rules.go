package advice

import (
	"fmt"
	"strings"
	"time"
)

// Rule is one thing that can be wrong.
type Rule struct {
	Name string // for programs
	When string // in the table of docs/advice.md
	Says string // what is wrong, and what to do

	check  func(*Facts) (evidence string, ok bool)
	output func(*Facts, *Output) (evidence string, ok bool) // of each destination, in place of check
}

// Figures of the rules. Ours where no source is named.
const (
	microseconds  = 20 * time.Millisecond   // no path has so little that this much latency repairs a loss on it: it was meant as ms
	roundTrips    = 2.5                     // libsrt's advice is 3 to 4 round trips; below this a second resend is not in time
	enoughLoss    = 0.002                   // of the packets: less is repaired by one resend
	longGOP       = 4500 * time.Millisecond // the CDN tiers ask for 2 s, most take up to 4
	reorderSlow   = 100 * time.Millisecond  // of delay
	burst         = 2.5                     // the second that has most against the mean
	irregular     = 0.1                     // of the pictures
	audioBehind   = 60 * time.Millisecond
	audioTogether = 4
	drift         = 150.0 // ppm: a crystal has 20 to 50
	slowLag       = time.Second
	overTarget    = 1.15
)

func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// Rules are all there are, in the order in which they are shown.
var Rules = []Rule{
	{
		Name: "latency_unit", When: "an SRT publisher asks for a latency under 20 ms",
		Says: "The publisher asked for almost no latency, so that nothing lost can be repaired. ffmpeg and OBS read it in microseconds: for 300 ms write latency=300000 there (srt-live-transmit and other libsrt tools: 300).",
		check: func(f *Facts) (string, bool) {
			return fmt.Sprintf("asked %s, agreed %s", ms(f.Asked), ms(f.Latency)), f.Protocol == "srt" && f.KnowsAsked && f.Asked < microseconds
		},
	},
	{
		Name: "latency_short", When: "latency is under 2.5 round trips, and more than 0.2 % of the packets are lost",
		Says: "The latency is too short to repair the losses of this path. Give the publisher 3 to 4 round trips of latency.",
		check: func(f *Facts) (string, bool) {
			return fmt.Sprintf("latency %s, round trip %s, %.1f %% lost, %.1f packets/s not repaired; 4 round trips are %s", ms(f.Latency), ms(f.RTT), 100*f.Loss, f.Holes, ms(4*f.RTT)),
				f.Latency > 0 && f.RTT > 0 && float64(f.Latency) < roundTrips*float64(f.RTT) && f.Loss > enoughLoss
		},
	},
	{
		Name: "over_capacity", When: "stalls have the cause capacity, or the encoder makes 15 % more than the way has room for while some do",
		Says: "The way here carries less than the encoder makes. Lower its bit rate, or let it follow the path (docs/push.md, \"The feed\").",
		check: func(f *Facts) (string, bool) {
			room := ""
			if f.Target > 0 {
				room = fmt.Sprintf(", room for %.1f Mbit/s", f.Target/1e6)
			}
			return fmt.Sprintf("%.1f s of stall in 100 s, media %.1f Mbit/s%s", f.CapacityS, f.Bitrate/1e6, room),
				f.CapacityS >= 1 || f.CapacityS > 0 && f.Target > 0 && f.Bitrate > overTarget*f.Target
		},
	},
	{
		Name: "gop_long", When: "a key frame comes less often than every 4.5 s",
		Says: "Key frames are too far apart: players start, and pictures come back after a loss, only at one. Set 2 s (ffmpeg -g 60 -keyint_min 60 at 30 frames/s, OBS \"Keyframe Interval\" 2).",
		check: func(f *Facts) (string, bool) {
			return fmt.Sprintf("%.1f s between key frames", f.Shape.GOP.Seconds()), f.Shape.GOP > longGOP
		},
	},
	{
		Name: "b_frames", When: "pictures are reordered, and a destination's address says WebRTC or real time, or it costs 100 ms and more",
		Says: "The encoder makes B-frames: they add delay, and players over WebRTC cannot show them. Turn them off (ffmpeg -bf 0, OBS \"Max B-frames\" 0, x264 tune=zerolatency).",
		check: func(f *Facts) (string, bool) {
			to := ""
			for _, o := range f.Outputs {
				if realTime(o.Destination) {
					to = ", and pushed to " + o.Destination
					break
				}
			}
			return fmt.Sprintf("pictures wait up to %s for their place%s", ms(f.Shape.Reorder), to),
				f.Shape.Reorder >= reorderSlow || to != "" && f.Shape.Interval > 0 && 2*f.Shape.Reorder > f.Shape.Interval
		},
	},
	{
		Name: "bursts", When: "a second of pictures has more than 2.5 times the mean of 30 s",
		Says: "The bit rate comes in bursts, which fill queues on the way. Limit it (ffmpeg -maxrate RATE -bufsize RATE with -b:v RATE; OBS rate control CBR).",
		check: func(f *Facts) (string, bool) {
			return fmt.Sprintf("%.1f Mbit/s in the fullest second, mean %.1f", f.Shape.Peak/1e6, f.Shape.Mean/1e6),
				f.Shape.Mean > 100e3 && f.Shape.Peak > burst*f.Shape.Mean
		},
	},
	{
		Name: "encoder_irregular", When: "more than 10 % of the pictures are not one interval behind the one before, or stalls have the cause encoder",
		Says: "The encoder does not make its pictures in time: its machine is too slow for the settings, or its source has gaps. Choose a faster preset, a smaller picture or a lower frame rate.",
		check: func(f *Facts) (string, bool) {
			return fmt.Sprintf("%.0f %% of the pictures out of step, %.1f s of stall in 100 s", 100*f.Shape.Irregular, f.EncoderS),
				f.Protocol != "" && (f.Shape.Pictures > 50 && f.Shape.Irregular > irregular || f.EncoderS >= 1)
		},
	},
	{
		Name: "audio_late", When: "sound comes four frames and more at a time, 60 ms behind its picture",
		Says: "Sound waits in the encoder's multiplexer until several frames are together. ffmpeg: -pes_payload_size 0 before the address sends each at once.",
		check: func(f *Facts) (string, bool) {
			return fmt.Sprintf("%d frames of sound at a time, %s behind the picture", f.Shape.AudioBatch, ms(f.Shape.AudioBehind)),
				f.Protocol != "" && f.Shape.AudioBatch >= audioTogether && f.Shape.AudioBehind > audioBehind
		},
	},
	{
		Name: "udp_buffer", When: "the kernel has thrown datagrams away because a socket's buffer was full",
		Says: "The relay's UDP buffer overflows. Allow more: sysctl -w net.core.rmem_max=8388608, then start the relay again; if it still does, the relay needs CPU.",
		check: func(f *Facts) (string, bool) {
			return fmt.Sprintf("%d datagrams lost here in the last minute; buffer %d KiB of %d asked for", f.SocketDrops, f.SocketBuffer>>10, f.SocketWanted>>10), f.SocketDrops > 0
		},
	},
	{
		Name: "clock_drift", When: "the encoder's clock runs 150 ppm or more beside the relay's",
		Says: "The encoder's clock does not keep time: players run dry or fall behind, and have to correct it. Run NTP or PTP there; a capture card's own clock (ffmpeg -use_wallclock_as_timestamps 1) may be the one that is wrong.",
		check: func(f *Facts) (string, bool) {
			d := f.Shape.DriftPPM
			word := "slow"
			if d < 0 {
				d, word = -d, "fast"
			}
			return fmt.Sprintf("%.0f ppm %s: %.1f s a day", d, word, d*86400/1e6), d > drift && d < 20_000 && f.CapacityS == 0
		},
	},
	{
		Name: "key_in_use", When: "publishers were refused in the last minute because another one has the key",
		Says: "Somebody else tries to publish with this key. Stop one of the two, or end the publisher here (DELETE /v1/streams/APP/KEY/publisher).",
		check: func(f *Facts) (string, bool) {
			return fmt.Sprintf("%d refused in the last minute", f.KeyInUse), f.KeyInUse > 0
		},
	},
	{
		Name: "destination_key_in_use", When: "a destination refuses because its key has a publisher",
		Says:   "the key has another publisher. Stop that one; one that was cut off is forgotten by most servers within a minute.",
		output: func(_ *Facts, o *Output) (string, bool) { return "it said so when it refused", o.KeyInUse && !o.Live },
	},
	{
		Name: "destination_slow", When: "frames wait longer than 1 s for a destination, or its viewers stall while the stream does not",
		Says: "it takes less than the stream has. Choose another ingest of that provider, or lower the bit rate; the other destinations do not notice.",
		output: func(_ *Facts, o *Output) (string, bool) {
			return fmt.Sprintf("frames wait %s, %d dropped in the last minute, %.1f s of stall in 100 s", ms(o.Lag), o.Dropped, o.EgressS),
				o.Live && (o.Lag > slowLag || o.Dropped > 0 || o.EgressS >= 1)
		},
	},
}

// realTime says whether an address names a way of playing that has no room for B-frames.
func realTime(destination string) bool {
	d := strings.ToLower(destination)
	for _, word := range [...]string{"webrtc", "whip", "realtime", "rts.", "artc", "live.cloudflare.com"} {
		if strings.Contains(d, word) {
			return true
		}
	}
	return false
}
