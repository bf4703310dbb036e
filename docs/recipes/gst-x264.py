#!/usr/bin/python3
"""An H.264 encoder whose bitrate follows the lines on its standard input: GStreamer's x264enc, MPEG-TS on standard output.

    fairlead push --exec-control stdin --bitrate 3M --max-bitrate 6M \
        'exec:docs/recipes/gst-x264.py --video "v4l2src device=/dev/video0"' 'fairlead://relay.example/live/cam'

A line is a number, the bitrate of the pictures in bit/s, or the word keyframe. x264 takes both while it runs, from the next
picture on. It ends when standard input does.

Debian: apt install python3-gi gir1.2-gstreamer-1.0 gstreamer1.0-plugins-{base,good,bad,ugly}
"""
import argparse
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--video", default="videotestsrc is-live=true pattern=snow", help="where pictures come from, in gst-launch's words")
    p.add_argument("--audio", default="audiotestsrc is-live=true wave=ticks", help="where sound comes from; empty: no sound")
    p.add_argument("--caps", default="video/x-raw,width=640,height=360,framerate=30/1", help="what the pictures are made to be")
    p.add_argument("--bitrate", type=int, default=2_500_000, help="to begin with, bit/s")
    p.add_argument("--preset", default="veryfast", help="x264's speed-preset")
    a = p.parse_args()

    Gst.init(None)
    text = (
        f"{a.video} ! videoconvert ! videoscale ! videorate ! {a.caps} ! queue max-size-buffers=2 leaky=downstream"
        f" ! x264enc name=x264 tune=zerolatency speed-preset={a.preset} key-int-max=60 bitrate={max(1, a.bitrate // 1000)} vbv-buf-capacity=300"
        " ! video/x-h264,profile=high ! h264parse config-interval=-1 ! queue ! ts.  mpegtsmux name=ts alignment=7 ! fdsink fd=1 sync=false"
    )
    if a.audio:
        text += f"  {a.audio} ! audioconvert ! audioresample ! voaacenc bitrate=96000 ! aacparse ! queue ! ts."
    pipeline = Gst.parse_launch(text)
    x264 = pipeline.get_by_name("x264")
    loop = GLib.MainLoop()

    def follow():
        for line in sys.stdin:
            word = line.strip()
            if word == "keyframe":
                key = Gst.Structure.new_empty("GstForceKeyUnit")
                x264.get_static_pad("src").send_event(Gst.Event.new_custom(Gst.EventType.CUSTOM_UPSTREAM, key))
            elif word.isdigit():
                x264.set_property("bitrate", max(1, int(word) // 1000))
        loop.quit()

    def message(_, m):
        if m.type == Gst.MessageType.ERROR:
            err, _ = m.parse_error()
            print(err.message, file=sys.stderr)
            message.failed = True
            loop.quit()
        elif m.type == Gst.MessageType.EOS:
            loop.quit()

    message.failed = False
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", message)
    pipeline.set_state(Gst.State.PLAYING)
    threading.Thread(target=follow, daemon=True).start()
    try:
        loop.run()
    finally:
        pipeline.set_state(Gst.State.NULL)
    sys.exit(1 if message.failed else 0)


main()
