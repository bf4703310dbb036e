#!/usr/bin/python3
"""An RTMP encoder that watches what waits in front of its own socket: GStreamer's x264enc and rtmp2sink, with the rule of OBS's "dynamic bitrate".

    fairlead push --shape rtmp://127.0.0.1:1936/live/cam 'fairlead://relay.example/live/cam'
    docs/recipes/gst-rtmp.py rtmp://127.0.0.1:1936/live/cam --bitrate 5000000 --video "v4l2src device=/dev/video0"

Once 200 ms wait, the bitrate becomes what left over the last second and a half, less the sound; 4 s after the last change it grows by a tenth of the original.
It knows nothing of fairlead: it stands for the encoders that do the same. It prints each change, bit/s, on standard error.

Debian: apt install python3-gi gir1.2-gstreamer-1.0 gstreamer1.0-plugins-{base,good,bad,ugly}
"""
import argparse
import collections
import sys
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

SOUND = 96_000
TRIGGER = 200_000_000  # ns that wait
GROW = 4.0  # s
LOOK = 1.5  # s


def main():
    p = argparse.ArgumentParser()
    p.add_argument("url")
    p.add_argument("--video", default="videotestsrc is-live=true pattern=snow")
    p.add_argument("--audio", default="audiotestsrc is-live=true wave=ticks")
    p.add_argument("--caps", default="video/x-raw,width=640,height=360,framerate=30/1")
    p.add_argument("--bitrate", type=int, default=5_000_000, help="to begin with, and the most, bit/s")
    p.add_argument("--preset", default="veryfast")
    a = p.parse_args()

    Gst.init(None)
    pipeline = Gst.parse_launch(
        f"{a.video} ! videoconvert ! videoscale ! videorate ! {a.caps} ! queue max-size-buffers=2 leaky=downstream"
        f" ! x264enc name=x264 tune=zerolatency speed-preset={a.preset} key-int-max=60 bitrate={a.bitrate // 1000} vbv-buf-capacity=300"
        " ! video/x-h264,profile=high ! h264parse ! queue ! flv."
        f"  {a.audio} ! audioconvert ! audioresample ! voaacenc bitrate={SOUND} ! aacparse ! queue ! flv."
        " flvmux name=flv streamable=true ! queue name=waits max-size-time=0 max-size-buffers=0 max-size-bytes=100000000"
        " ! rtmp2sink name=out sync=false"
    )
    pipeline.get_by_name("out").set_property("location", a.url)
    x264, waits = pipeline.get_by_name("x264"), pipeline.get_by_name("waits")
    left = collections.deque()  # (s, bytes) of what left the queue

    def leaves(_, info):
        left.append((time.monotonic(), info.get_buffer().get_size()))
        return Gst.PadProbeReturn.OK

    waits.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, leaves)
    now = {"rate": a.bitrate, "at": time.monotonic(), "failed": False}

    def look():
        at = time.monotonic()
        while left and left[0][0] < at - LOOK:
            left.popleft()
        rate = now["rate"]
        if waits.get_property("current-level-time") > TRIGGER and at - now["at"] >= 1:
            rate = min(rate, max(300_000, int(sum(n for _, n in left) * 8 / LOOK) - SOUND))
        elif at - now["at"] >= GROW and waits.get_property("current-level-time") <= TRIGGER:
            rate = min(a.bitrate, rate + a.bitrate // 10)
        if rate != now["rate"]:
            now["rate"], now["at"] = rate, at
            x264.set_property("bitrate", rate // 1000)
            print(rate, file=sys.stderr, flush=True)
        return True

    loop = GLib.MainLoop()

    def message(_, m):
        if m.type in (Gst.MessageType.ERROR, Gst.MessageType.EOS):
            if m.type == Gst.MessageType.ERROR:
                print(m.parse_error()[0].message, file=sys.stderr)
                now["failed"] = True
            loop.quit()

    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", message)
    GLib.timeout_add(50, look)
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, 2, loop.quit)
    pipeline.set_state(Gst.State.PLAYING)
    try:
        loop.run()
    finally:
        pipeline.set_state(Gst.State.NULL)
    sys.exit(1 if now["failed"] else 0)


main()
