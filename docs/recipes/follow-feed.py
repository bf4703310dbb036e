#!/usr/bin/env python3
"""Writes the target bitrate of a fairlead feed to the standard input of a program, a line each time, less the sound's.

    follow-feed.py http://127.0.0.1:8081/v1/streams/live/cam/feedback [--audio 128000] [--min 300000] [--max 6000000] -- PROGRAM…

The line keyframe asks for a key frame. The program's standard output is this one's.
"""
import argparse
import json
import subprocess
import sys
import time
import urllib.request


def main():
    p = argparse.ArgumentParser()
    p.add_argument("url")
    p.add_argument("--audio", type=int, default=128_000)
    p.add_argument("--min", type=int, default=300_000)
    p.add_argument("--max", type=int, default=6_000_000)
    p.add_argument("program", nargs="+")
    a = p.parse_args()
    child = subprocess.Popen(a.program, stdin=subprocess.PIPE, text=True, bufsize=1)

    def say(line):
        try:
            child.stdin.write(f"{line}\n")
        except OSError:
            sys.exit(child.wait())

    try:
        while child.poll() is None:
            try:
                with urllib.request.urlopen(a.url, timeout=10) as feed:
                    event = ""
                    for line in feed:
                        word, _, rest = line.decode().strip().partition(": ")
                        if word == "event":
                            event = rest
                            if event == "keyframe":
                                say(event)
                        elif word == "data" and event == "target":
                            say(max(a.min, min(a.max, json.loads(rest)["target_bps"] - a.audio)))
            except OSError:
                pass
            time.sleep(0.5)  # not there yet, or gone: again
    finally:
        child.stdin.close()
        try:
            child.wait(2)
        except subprocess.TimeoutExpired:
            child.kill()


main()
