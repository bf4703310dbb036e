"""OBS Studio script: the stream's encoder follows the feed of fairlead push --http, or of a relay.

In OBS: Tools, Scripts, Python Settings (a Python 3 that OBS accepts), +, this file; then the address of the feed and the range of bitrates.
It moves the video encoder of the stream that is being sent, whatever its output is: RTMP, SRT, a recording is left alone. The encoder has
to take a new bitrate while it runs, in CBR or VBR: x264, NVENC, QuickSync, AMF and Apple VT do. OBS's own "Dynamically change bitrate" has to be off.

Without OBS it prints what it would do:  obs-follow-feed.py URL [MIN MAX]
"""
import json
import sys
import threading
import time
import urllib.request

try:
    import obspython as obs
except ImportError:
    obs = None


class Feed:
    """Reads the events in a thread of its own and keeps the newest target."""

    def __init__(self, url, on_target=None):
        self.url, self.on_target = url, on_target
        self.target = None  # bit/s, pictures and sound together; None: nobody publishes, or nothing is known
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ended.is_set():
            try:
                with urllib.request.urlopen(self.url, timeout=10) as lines:
                    for event, data in events(lines):
                        if self.ended.is_set():
                            return
                        self.take(event, data)
            except (OSError, ValueError):
                pass
            self.target = None
            self.ended.wait(1)  # not there yet, or gone: again

    def take(self, event, data):
        if event == "target":
            self.target = int(json.loads(data)["target_bps"])
            if self.on_target:
                self.on_target(self.target)
        elif event == "gone":
            self.target = None

    def stop(self):
        self.ended.set()


def events(lines):
    """Server-sent events of an iterable of lines: (event, data)."""
    event, data = "message", []
    for line in lines:
        line = line.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data:
                yield event, "\n".join(data)
            event, data = "message", []
            continue
        word, _, rest = line.partition(":")
        rest = rest.removeprefix(" ")
        if word == "event":
            event = rest
        elif word == "data":
            data.append(rest)


class Steps:
    """What the encoder is set to, kbit/s: lower at once, higher at most every two seconds, because some encoders pay for each change."""

    def __init__(self, least, most, sound=160):
        self.least, self.most, self.sound = least, most, sound
        self.now, self.raised = None, 0.0

    def next(self, target, at):
        """The bitrate to set, or None. target: bit/s; at: s."""
        want = max(self.least, min(self.most, target // 1000 - self.sound))
        if self.now is None or want < self.now * 0.97 or want > self.now * 1.05 and at - self.raised >= 2:
            if self.now is None or want > self.now:
                self.raised = at
            self.now = want
            return want
        return None


feed, steps, settings = None, None, {}


def script_description():
    return "The stream's encoder follows what the path carries, by the feed of fairlead."


def script_properties():
    p = obs.obs_properties_create()
    obs.obs_properties_add_text(p, "url", "Feed", obs.OBS_TEXT_DEFAULT)
    obs.obs_properties_add_int(p, "least", "Least, kbit/s", 100, 50000, 50)
    obs.obs_properties_add_int(p, "most", "Most, kbit/s", 100, 50000, 50)
    return p


def script_defaults(s):
    obs.obs_data_set_default_string(s, "url", "http://127.0.0.1:8081/v1/streams/live/cam/feedback")
    obs.obs_data_set_default_int(s, "least", 300)
    obs.obs_data_set_default_int(s, "most", 6000)


def script_update(s):
    script_unload()
    global feed, steps
    feed = Feed(obs.obs_data_get_string(s, "url"))
    steps = Steps(obs.obs_data_get_int(s, "least"), obs.obs_data_get_int(s, "most"))
    obs.timer_add(tick, 200)


def script_unload():
    global feed
    obs.timer_remove(tick)
    if feed:
        feed.stop()
    feed = None


def tick():
    """Runs in OBS's own thread, where its functions may be called."""
    if feed is None or feed.target is None:
        return
    output = obs.obs_frontend_get_streaming_output()
    if not output:
        return
    if obs.obs_output_active(output):
        kbit = steps.next(feed.target, time.monotonic())
        if kbit is not None:
            encoder = obs.obs_output_get_video_encoder(output)
            s = obs.obs_data_create()
            obs.obs_data_set_int(s, "bitrate", kbit)
            obs.obs_encoder_update(encoder, s)
            obs.obs_data_release(s)
    else:
        steps.now = None  # the next stream begins with OBS's own setting
    obs.obs_output_release(output)


def main():
    least, most = (int(a) for a in (sys.argv[2:4] or (300, 6000)))
    step = Steps(least, most)

    def show(target):
        kbit = step.next(target, time.monotonic())
        if kbit is not None:
            print(kbit, flush=True)

    Feed(sys.argv[1], show).thread.join()


if __name__ == "__main__" and obs is None:
    main()
