#!/bin/bash
# An encoder that follows a link of 6 → 2 → 6 Mbit/s, live, on this machine: x264 in GStreamer, fairlead push, an emulated link, a relay.
#
#   docs/recipes/adapt.sh exec|sse|shape [SECONDS] [FAIRLEAD]
#
# exec: fairlead push starts the encoder and tells it. sse: the encoder reads the feed of fairlead push --http. shape: an RTMP encoder that watches
# what waits in front of its own socket, which fairlead push --shape reads no faster than the link carries.
# It prints each second what the encoder may make and what it makes, and at the end the score of a viewer of the relay.
# Needs: the Debian packages named in gst-x264.py. Ports 18080 to 18082, 14433 and 14434 of loopback must be free.
# shape, as root on a machine whose TCP is BBR: runs in a network namespace of its own with the kernel's usual TCP (docs/push.md says why).
set -u
if [ "${1:-}" = shape ] && [ "$(cat /proc/sys/net/ipv4/tcp_congestion_control)" = bbr ]; then
  if [ "$(id -u)" = 0 ]; then
    exec unshare -n sh -c 'ip link set lo up
      for c in cubic reno; do sysctl -qw net.ipv4.tcp_congestion_control=$c 2>/dev/null && break; done; exec "$0" "$@"' "$0" "$@"
  fi
  echo "TCP is BBR here, which hides 1.2 MB from the encoder: run as root, or set tcp_wmem (docs/push.md)" >&2
fi
mode=${1:-exec} seconds=${2:-60} fairlead=${3:-fairlead}
here=$(dirname "$(readlink -f "$0")")
out=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$out"' EXIT
third=$((seconds / 3))
"$fairlead" relay --rtmp "" --srt "" --api "" --http 127.0.0.1:18080 --quic 127.0.0.1:14433 --key live/cam --log error > "$out/relay" & pids+=($!)
for _ in $(seq 100); do grep -q ready "$out/relay" && break; sleep 0.1; done
url=$(grep -o "fairlead://[^']*" "$out/relay" | head -1 | sed 's/:14433/:14434/')
"$fairlead" bench link "rate 6mbit delay 20ms limit 250ms at ${third}s up rate 2mbit at $((2 * third))s up rate 6mbit" \
  --udp 14434=127.0.0.1:14433 > /dev/null & pids+=($!)
sleep 0.5
encoder="$here/gst-x264.py --bitrate 3000000 --preset ultrafast"
push=("$fairlead" push --stats json --http 127.0.0.1:18081)
case $mode in
exec) "${push[@]}" --exec-control stdin --bitrate 3M --max-bitrate 8M "exec:$encoder" "$url" > "$out/stats" & pids+=($!) ;;
sse)
  mkfifo "$out/ts"
  # shellcheck disable=SC2086
  "$here/follow-feed.py" http://127.0.0.1:18081/v1/streams/live/cam/feedback --max 8000000 -- $encoder > "$out/ts" & pids+=($!)
  "${push[@]}" - "$url" < "$out/ts" > "$out/stats" & pids+=($!)
  ;;
shape)
  "${push[@]}" --shape rtmp://127.0.0.1:18082/live/cam "$url" > "$out/stats" & pids+=($!)
  sleep 1
  "$here/gst-rtmp.py" rtmp://127.0.0.1:18082/live/cam --bitrate 5000000 --preset ultrafast & pids+=($!)
  ;;
*) echo "exec, sse or shape?" >&2; exit 2 ;;
esac
sleep 2
"$fairlead" bench watch http://127.0.0.1:18080/live/cam.flv --duration "${seconds}s" > "$out/score" & watch=$!
tail -f "$out/stats" > >(python3 -c '
import json, sys
for n, line in enumerate(sys.stdin):
    d = json.loads(line)
    print("%3d s  target %5.2f  encoder %5.2f  sent %5.2f Mbit/s  round trip %3.0f ms  dropped %d  lost frames %d" % (
        n + 1, d.get("target_bps", 0) / 1e6, d["input_bps"] / 1e6, d["send_bps"] / 1e6, d["rtt_ms"], d["unsent"] + d["skipped"], d.get("frames_lost", 0)), flush=True)
') & pids+=($!)
wait "$watch"
echo "a viewer of the relay:"
tail -1 "$out/score"
