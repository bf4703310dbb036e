#!/bin/sh
# Makes clip.flv, the clip that `fairlead demo` and the tests publish: 8 s of synthetic H.264 (640x360, 30 fps, B-frames,
# key frame every 2 s) and AAC (48 kHz, 375 frames = 8 s exactly; the beeps leave silence where the loop closes).
set -eu
cd "$(dirname "$0")"
ffmpeg -v error -y \
  -f lavfi -i "testsrc2=size=640x360:rate=30" \
  -f lavfi -i "aevalsrc='0.2*sin(2*PI*(440+110*floor(mod(t,4)))*t)*between(mod(t,1),0.3,0.5)':s=48000" \
  -t 8 -map 0:v -map 1:a \
  -c:v libx264 -preset slow -profile:v high -pix_fmt yuv420p -bf 2 -g 60 -keyint_min 60 -sc_threshold 0 \
  -b:v 420k -maxrate 480k -bufsize 480k -x264-params "open-gop=0" \
  -c:a aac -b:a 48k -flvflags no_duration_filesize clip.flv
