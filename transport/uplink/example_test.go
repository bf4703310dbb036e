package uplink_test

import (
	"log"

	"github.com/fairlead-live/fairlead/transport/uplink"
)

// encoder stands for the platform's.
var encoder struct {
	config  []byte
	frames  chan frame
	bitrate int64
}

type frame struct {
	micros int64
	flags  int
	data   []byte
}

type events struct{}

func (events) OnTargetBitrate(bitsPerSecond int64, _ string) { encoder.bitrate = bitsPerSecond }
func (events) OnKeyFrameRequest(int)                         {}
func (events) OnState(state int, reason string)              { log.Println(state, reason) }

func Example() {
	up, err := uplink.Dial("fairlead://relay.example/live/cam?token=secret&latency=500ms", &uplink.Options{Events: events{}})
	if err != nil {
		log.Fatal(err)
	}
	defer up.Close()
	video, err := up.AddVideo(uplink.H264, 1280, 720, encoder.config)
	if err != nil {
		log.Fatal(err)
	}
	for f := range encoder.frames {
		if err := up.WriteFrame(video, f.micros, f.micros, f.flags, f.data); err != nil {
			log.Print(err) // dropped; the next key frame mends it
		}
	}
}
