package mpegts

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// story is a stream made by hand, and what must come of it.
type story struct {
	why   string
	make  func(w *build)
	check func(t *testing.T, s Stats, frames []*media.Frame)
}

// begin writes tables and a keyframe at 1 s.
func begin(w *build) {
	w.pat(0, pidPMT)
	w.pmt(pidPMT, 0, es{typ: typeH264, pid: pidVideo}, es{typ: typeADTS, pid: pidAudio})
	w.pes(pidVideo, pesBytes(0xe0, 90000, -1, 0, keyAU(500)))
}

func keyAU(n int) []byte   { return annexB([]byte{9, 0xf0}, testSPS, testPPS, slice(0x65, n)) }
func plainAU(n int) []byte { return annexB([]byte{9, 0xf0}, slice(0x41, n)) }

func wantFrames(n int) func(*testing.T, Stats, []*media.Frame) {
	return func(t *testing.T, s Stats, frames []*media.Frame) {
		if len(frames) != n {
			t.Errorf("%d frames, want %d: %s", len(frames), n, dropped(s))
		}
	}
}

func wantDrop(r DropReason, n uint64, frames int) func(*testing.T, Stats, []*media.Frame) {
	return func(t *testing.T, s Stats, got []*media.Frame) {
		if s.Drops[r] != n || len(got) != frames {
			t.Errorf("%v = %d, %d frames, want %d, %d; all drops: %s", r, s.Drops[r], len(got), n, frames, dropped(s))
		}
	}
}

// cut removes the packet i from the end, 1 being the last.
func (w *build) cut(i int) {
	at := len(w.b) - i*PacketSize
	w.b = slices.Delete(w.b, at, at+PacketSize)
}

// last is the packet i from the end.
func (w *build) last(i int) []byte { return w.b[len(w.b)-i*PacketSize:][:PacketSize] }

func TestDamage(t *testing.T) {
	for _, c := range []story{
		{"a packet lost in a picture: it is dropped, the next one says so", func(w *build) {
			begin(w)
			w.pes(pidVideo, pesBytes(0xe0, 93000, -1, 0, plainAU(900)))
			w.cut(3)
			w.pes(pidVideo, pesBytes(0xe0, 96000, -1, 0, plainAU(900)))
		}, func(t *testing.T, s Stats, f []*media.Frame) {
			wantDrop(DropDamaged, 1, 2)(t, s, f)
			if s.Discontinuities != 1 || f[0].Flags.Has(media.Discontinuity) || !f[1].Flags.Has(media.Discontinuity) {
				t.Errorf("discontinuities %d, flags %v %v", s.Discontinuities, f[0].Flags, f[1].Flags)
			}
		}},
		{"a packet lost in a PES packet of audio: the frames before it are kept", func(w *build) {
			begin(w)
			w.pes(pidAudio, pesBytes(0xc0, 90000, -1, -1, bytes.Repeat(adts(slice(0x21, 93)), 6)))
			w.cut(2)
		}, func(t *testing.T, s Stats, f []*media.Frame) {
			if n := len(pick(f, 1)); n != 3 || s.Drops[DropDamaged] != 1 {
				t.Errorf("%d audio frames, want 3 of 6: %s", n, dropped(s))
			}
		}},
		{"a duplicate packet is no news", func(w *build) {
			begin(w)
			w.pes(pidVideo, pesBytes(0xe0, 93000, -1, 0, plainAU(300)))
			w.b = append(w.b, w.last(1)...)
			w.pes(pidVideo, pesBytes(0xe0, 96000, -1, 0, plainAU(300)))
			first := len(w.b) - 2*PacketSize
			w.b = slices.Insert(w.b, first, w.b[first:first+PacketSize]...)
		}, wantDrop(DropDuplicate, 2, 3)},
		{"transport_error_indicator: the packet is not trusted", func(w *build) {
			begin(w)
			w.pes(pidVideo, pesBytes(0xe0, 93000, -1, 0, plainAU(900)))
			w.last(3)[1] |= 0x80
			w.pes(pidVideo, pesBytes(0xe0, 96000, -1, 0, plainAU(900)))
		}, func(t *testing.T, s Stats, f []*media.Frame) {
			wantDrop(DropTransportError, 1, 2)(t, s, f)
			wantDrop(DropDamaged, 1, 2)(t, s, f)
		}},
		{"scrambled packets", func(w *build) {
			begin(w)
			w.pes(pidVideo, pesBytes(0xe0, 93000, -1, 0, plainAU(100)))
			w.last(1)[3] |= 0x80
		}, wantDrop(DropScrambled, 1, 1)},
		{"an adaptation field longer than its packet", func(w *build) {
			begin(w)
			w.pes(pidVideo, pesBytes(0xe0, 93000, -1, 0, plainAU(100)))
			w.last(1)[4] = 200
		}, wantDrop(DropBadHeader, 1, 1)},
		{"null packets and PIDs of nobody", func(w *build) {
			begin(w)
			w.packet(pidNull, false, nil, make([]byte, 184))
			w.packet(0x777, false, nil, make([]byte, 184))
		}, func(t *testing.T, s Stats, f []*media.Frame) {
			wantDrop(DropNull, 1, 1)(t, s, f)
			wantDrop(DropUnknownPID, 1, 1)(t, s, f)
		}},
		{"a sync byte damaged: one packet is lost, not more", func(w *build) {
			begin(w)
			for range 9 {
				w.pes(pidVideo, pesBytes(0xe0, 93000, -1, 0, plainAU(100)))
			}
			w.last(4)[0] = 0
		}, func(t *testing.T, s Stats, f []*media.Frame) {
			wantFrames(9)(t, s, f)
			if s.SyncLosses != 1 || s.SkippedBytes != PacketSize {
				t.Errorf("%d losses of sync, %d bytes skipped", s.SyncLosses, s.SkippedBytes)
			}
		}},
		{"bytes inserted and bytes missing: sync is found again", func(w *build) {
			begin(w)
			for range 9 {
				w.pes(pidVideo, pesBytes(0xe0, 93000, -1, 0, plainAU(100)))
			}
			w.b = slices.Insert(w.b, len(w.b)-8*PacketSize, 0x47, 1, 2, 0x47, 3)
			w.b = slices.Delete(w.b, len(w.b)-4*PacketSize+20, len(w.b)-4*PacketSize+37)
		}, func(t *testing.T, s Stats, f []*media.Frame) {
			// The inserted bytes begin like a packet, so they spoil two; so do the missing ones.
			if len(f) < 6 || s.SyncLosses != 2 {
				t.Errorf("%d frames of 10, %d losses of sync", len(f), s.SyncLosses)
			}
		}},
		{"a PES packet that does not begin as one", func(w *build) {
			begin(w)
			w.pes(pidVideo, append([]byte{0, 1, 1}, make([]byte, 100)...))
			w.pes(pidVideo, pesBytes(0xe0, 96000, -1, 0, plainAU(100)))
		}, wantDrop(DropBadPES, 1, 2)},
		{"a PES header that claims to be longer than the packet", func(w *build) {
			begin(w)
			p := pesBytes(0xe0, 93000, -1, 0, plainAU(100))
			p[8] = 250
			w.pes(pidVideo, p)
		}, wantDrop(DropBadPES, 1, 1)},
		{"a picture shorter than its header says, with nothing missing", func(w *build) {
			begin(w)
			w.pes(pidVideo, pesBytes(0xe0, 93000, -1, 900, plainAU(100)))
			w.pes(pidVideo, pesBytes(0xe0, 96000, -1, 0, plainAU(100)))
		}, func(t *testing.T, s Stats, f []*media.Frame) {
			if wantFrames(3)(t, s, f); s.ShortPES != 1 {
				t.Errorf("%d short", s.ShortPES)
			}
		}},
		{"the stream ends within a picture of known length", func(w *build) {
			begin(w)
			w.pes(pidVideo, pesBytes(0xe0, 93000, -1, 900, plainAU(100)))
		}, wantDrop(DropTruncated, 1, 1)},
		{"pictures of known length, and a length that lies", func(w *build) {
			begin(w)
			w.pes(pidVideo, pesBytes(0xe0, 93000, -1, -1, plainAU(100)))
			w.pes(pidVideo, pesBytes(0xe0, 96000, -1, 300, plainAU(900)))
			w.pes(pidVideo, pesBytes(0xe0, 99000, -1, 300, plainAU(900)))
		}, func(t *testing.T, s Stats, f []*media.Frame) {
			// The second is delivered cut, then whole, and after that lengths are not believed.
			if wantFrames(5)(t, s, f); s.ByLength != 2 || s.Glued != 1 {
				t.Errorf("%d by length, %d glued", s.ByLength, s.Glued)
			}
			if last := f[len(f)-1]; len(last.Payload) != 904 {
				t.Errorf("the last picture has %d bytes", len(last.Payload))
			}
		}},
		{"a picture larger than the bound", func(w *build) {
			begin(w)
			w.pes(pidVideo, pesBytes(0xe0, 93000, -1, 0, plainAU(70000)))
			w.pes(pidVideo, pesBytes(0xe0, 96000, -1, 0, plainAU(100)))
		}, wantDrop(DropOversize, 1, 2)},
		{"pictures before the parameter sets", func(w *build) {
			w.pat(0, pidPMT)
			w.pmt(pidPMT, 0, es{typ: typeH264, pid: pidVideo})
			w.pes(pidVideo, pesBytes(0xe0, 87000, -1, 0, plainAU(100)))
			begin(w)
		}, func(t *testing.T, s Stats, f []*media.Frame) {
			wantDrop(DropNoConfig, 1, 1)(t, s, f)
			if !f[0].Flags.Has(media.Discontinuity) {
				t.Error("the first frame does not say that some are missing")
			}
		}},
		{"parameter sets in a unit of their own", func(w *build) {
			w.pat(0, pidPMT)
			w.pmt(pidPMT, 0, es{typ: typeH264, pid: pidVideo})
			w.pes(pidVideo, pesBytes(0xe0, 87000, -1, 0, annexB(testSPS)))
			w.pes(pidVideo, pesBytes(0xe0, 87000, -1, 0, annexB(testPPS)))
			w.pes(pidVideo, pesBytes(0xe0, 90000, -1, 0, annexB(slice(0x65, 100))))
		}, wantDrop(DropNoPicture, 2, 1)},
		{"no timestamp: none can be derived, then from the last distance", func(w *build) {
			w.pat(0, pidPMT)
			w.pmt(pidPMT, 0, es{typ: typeH264, pid: pidVideo})
			w.pes(pidVideo, pesBytes(0xe0, -1, -1, 0, keyAU(100)))
			w.pes(pidVideo, pesBytes(0xe0, 90000, -1, 0, plainAU(100)))
			w.pes(pidVideo, pesBytes(0xe0, 93000, -1, 0, plainAU(100)))
			w.pes(pidVideo, pesBytes(0xe0, -1, -1, 0, plainAU(100)))
		}, func(t *testing.T, s Stats, f []*media.Frame) {
			wantDrop(DropNoTimestamp, 1, 3)(t, s, f)
			if media.Ticks(f[2].DTS) != 96000 || s.Untimed != 1 {
				t.Errorf("derived %d, %d untimed", media.Ticks(f[2].DTS), s.Untimed)
			}
		}},
		{"the PMT's CRC is wrong", func(w *build) {
			begin(w)
			w.pmt(pidPMT, 1, es{typ: typeADTS, pid: pidVideo})
			w.last(1)[20] ^= 1
			w.pes(pidVideo, pesBytes(0xe0, 93000, -1, 0, plainAU(100)))
		}, wantDrop(DropBadSection, 1, 2)},
		{"an ADTS frame across two PES packets, times by the rule of the first that commences", func(w *build) {
			begin(w)
			a := bytes.Repeat(adts(slice(0x21, 93)), 3)
			w.pes(pidAudio, pesBytes(0xc0, 90000, -1, -1, a[:150]))
			w.pes(pidAudio, pesBytes(0xc0, 93840, -1, -1, a[150:]))
		}, func(t *testing.T, s Stats, f []*media.Frame) {
			a := pick(f, 1)
			if len(a) != 3 || dropped(s) != "" {
				t.Fatalf("%d audio frames: %s", len(a), dropped(s))
			}
			for i, want := range []int64{90000, 91920, 93840} {
				if got := media.Ticks(a[i].PTS); got != want {
					t.Errorf("audio frame %d at %d, want %d", i, got, want)
				}
			}
		}},
		{"junk between audio frames", func(w *build) {
			begin(w)
			w.pes(pidAudio, pesBytes(0xc0, 90000, -1, -1, slices.Concat(adts(slice(0x21, 50)), []byte{1, 2, 3, 0xff, 4}, adts(slice(0x21, 50)))))
		}, wantDrop(DropBadAudio, 1, 3)},
	} {
		t.Run(c.why, func(t *testing.T) {
			w := newBuild()
			c.make(w)
			d := NewDemuxer(Config{MaxAccessUnit: 64 << 10})
			frames := demux(t, d, w.b, 500)
			c.check(t, d.Stats(), frames)
		})
	}
}

// TestPrograms: what the PMT says holds from then on, wherever it says it.
func TestPrograms(t *testing.T) {
	for _, c := range []story{
		{"the video moves to another PID and keeps track and configuration", func(w *build) {
			begin(w)
			w.pmt(pidPMT, 1, es{typ: typeH264, pid: 0x200}, es{typ: typeADTS, pid: pidAudio})
			w.pes(0x200, pesBytes(0xe0, 93000, -1, 0, plainAU(100)))
			w.pes(pidVideo, pesBytes(0xe0, 96000, -1, 0, plainAU(100)))
		}, func(t *testing.T, s Stats, f []*media.Frame) {
			wantDrop(DropUnknownPID, 1, 2)(t, s, f)
			if f[1].Track != 0 || f[1].Config != f[0].Config || s.ProgramChanges != 2 {
				t.Errorf("track %d, %d changes", f[1].Track, s.ProgramChanges)
			}
		}},
		{"the PMT itself moves", func(w *build) {
			begin(w)
			w.pat(1, 0x300)
			w.pmt(0x300, 0, es{typ: typeH264, pid: 0x200})
			w.pes(0x200, pesBytes(0xe0, 93000, -1, 0, plainAU(100)))
		}, wantFrames(2)},
		{"the same PMT under a new version changes nothing", func(w *build) {
			begin(w)
			w.pmt(pidPMT, 1, es{typ: typeH264, pid: pidVideo}, es{typ: typeADTS, pid: pidAudio})
			w.pes(pidVideo, pesBytes(0xe0, 93000, -1, 0, plainAU(100)))
		}, func(t *testing.T, s Stats, f []*media.Frame) {
			if wantFrames(2)(t, s, f); s.ProgramChanges != 1 {
				t.Errorf("%d changes", s.ProgramChanges)
			}
		}},
		{"a PMT over several packets, with streams we ignore", func(w *build) {
			w.pat(0, pidPMT)
			list := []es{{typ: 0x81, pid: 0x300, desc: make([]byte, 200)}, {typ: typeH264, pid: pidVideo}}
			for i := range 6 {
				list = append(list, es{typ: 0x06, pid: 0x310 + uint16(i), desc: make([]byte, 30)})
			}
			w.pmt(pidPMT, 0, list...)
			w.pes(pidVideo, pesBytes(0xe0, 90000, -1, 0, keyAU(100)))
		}, func(t *testing.T, s Stats, f []*media.Frame) {
			if wantFrames(1)(t, s, f); s.IgnoredStreams != 7 {
				t.Errorf("%d ignored, want 7", s.IgnoredStreams)
			}
		}},
		{"two videos and three audios get their tracks", func(w *build) {
			w.pat(0, pidPMT)
			w.pmt(pidPMT, 0, es{typ: typeADTS, pid: 0x201}, es{typ: typeH264, pid: 0x202}, es{typ: typeH264, pid: 0x203}, es{typ: typeADTS, pid: 0x204})
			for i := range uint16(4) {
				if i == 1 || i == 2 {
					w.pes(0x201+i, pesBytes(0xe0, 90000, -1, 0, keyAU(100)))
				} else {
					w.pes(0x201+i, pesBytes(0xc0, 90000, -1, -1, adts(slice(0x21, 50))))
				}
			}
		}, func(t *testing.T, s Stats, f []*media.Frame) {
			var tracks []uint8
			for _, x := range f {
				tracks = append(tracks, x.Track)
			}
			slices.Sort(tracks)
			if !slices.Equal(tracks, []uint8{0, 1, 2, 3}) {
				t.Errorf("tracks %v", tracks)
			}
		}},
	} {
		t.Run(c.why, func(t *testing.T) {
			w := newBuild()
			c.make(w)
			d := NewDemuxer(Config{})
			frames := demux(t, d, w.b, 500)
			c.check(t, d.Stats(), frames)
		})
	}
}

// TestConfigChangesOnlyWhenItDoes: the pointer is the news.
func TestConfigChangesOnlyWhenItDoes(t *testing.T) {
	other := bytes.Clone(testPPS)
	other[len(other)-1] ^= 0x40
	w := newBuild()
	begin(w)
	w.pes(pidVideo, pesBytes(0xe0, 93000, -1, 0, keyAU(100)))                                            // 1: repeated
	w.pes(pidVideo, pesBytes(0xe0, 96000, -1, 0, annexB(testSPS, other, slice(0x65, 100))))              // 2: another PPS
	w.pes(pidVideo, pesBytes(0xe0, 99000, -1, 0, annexB([]byte{0x67, 1, 2}, testPPS, slice(0x65, 100)))) // 3: broken SPS
	frames := demux(t, NewDemuxer(Config{}), w.b, 500)
	if len(frames) != 4 {
		t.Fatalf("%d frames", len(frames))
	}
	if frames[1].Config != frames[0].Config || frames[2].Config == frames[1].Config || len(frames[2].Config.PPS) != 1 || frames[3].Config != frames[2].Config {
		t.Errorf("configurations %p %p %p %p", frames[0].Config, frames[1].Config, frames[2].Config, frames[3].Config)
	}
}

// TestEarlyEndIsNeverWrong: what looks like an end in the midst of a picture.
func TestEarlyEndIsNeverWrong(t *testing.T) {
	pcr := []byte{0x10, 0, 0, 0, 0, 0x7e, 0}
	const prove = 5
	run := func(w *build) (Stats, []*media.Frame) {
		d := NewDemuxer(Config{EarlyAfter: prove})
		frames := demux(t, d, w.b, 500)
		return d.Stats(), frames
	}
	// picture writes one of 600 bytes, with something after its first packet.
	picture := func(w *build, i int, between func(rest []byte) []byte) {
		p := pesBytes(0xe0, int64(90000+3000*i), -1, 0, keyAU(600))
		w.packet(pidVideo, true, nil, p[:184])
		p = p[184:]
		if between != nil {
			p = between(p)
		}
		for len(p) > 0 {
			n := min(len(p), 184)
			w.packet(pidVideo, false, nil, p[:n])
			p = p[n:]
		}
	}
	tables := func() *build {
		w := newBuild()
		w.pat(0, pidPMT)
		w.pmt(pidPMT, 0, es{typ: typeH264, pid: pidVideo})
		return w
	}
	harmless := map[string]func(w *build) func([]byte) []byte{
		"a PCR in an adaptation field that fits": func(w *build) func([]byte) []byte {
			return func(p []byte) []byte {
				w.packet(pidVideo, false, pcr, p[:176])
				return p[176:]
			}
		},
		"a packet with a PCR and no payload": func(w *build) func([]byte) []byte {
			return func(p []byte) []byte {
				w.packet(pidVideo, false, pcr, nil)
				return p
			}
		},
		"private data in the adaptation field": func(w *build) func([]byte) []byte {
			return func(p []byte) []byte {
				w.packet(pidVideo, false, []byte{2, 3, 1, 2, 3}, p[:178])
				return p[178:]
			}
		},
	}
	for why, between := range harmless {
		w := tables()
		for i := range 30 {
			picture(w, i, between(w))
		}
		if s, f := run(w); len(f) != 30 || s.Early != 30-prove || s.Glued+s.EarlyOff != 0 {
			t.Errorf("%s: %d frames, %d early, %d glued, %d off", why, len(f), s.Early, s.Glued, s.EarlyOff)
		}
	}
	padded := func(w *build) func([]byte) []byte {
		return func(p []byte) []byte {
			w.packet(pidVideo, false, nil, p[:100])
			return p[100:]
		}
	}
	w := tables()
	for i := range 30 {
		picture(w, i, padded(w))
	}
	if s, f := run(w); len(f) != 30 || s.Early+s.Glued != 0 || s.EarlyOff != 1 {
		t.Errorf("padding in each picture: %d frames, %d early, %d glued, %d off", len(f), s.Early, s.Glued, s.EarlyOff)
	}
	w = tables()
	for i := range 30 {
		if i == 20 {
			picture(w, i, padded(w))
		} else {
			picture(w, i, nil)
		}
	}
	s, f := run(w)
	if len(f) != 31 || s.Glued != 1 || s.EarlyOff != 1 || s.Early != 20-prove+1 {
		t.Errorf("padding once, later: %d frames, %d early, %d glued, %d off", len(f), s.Early, s.Glued, s.EarlyOff)
	}
	if len(f[21].Payload) != len(f[19].Payload) || f[21].DTS != f[20].DTS || dropped(s) != "" {
		t.Errorf("the picture that was cut does not follow whole")
	}
}

// TestClockUnwraps guards the axis of time against single lies.
func TestClockUnwraps(t *testing.T) {
	var c clock
	at := int64(wrap33 - 500*90000)
	for i := range 1_000_000 { // 27 hours of frames, two wraps
		if got := c.unwrap(at & (wrap33 - 1)); got != at {
			t.Fatalf("frame %d: %d, want %d", i, got, at)
		}
		if i%1000 == 7 {
			c.unwrap(at + wrap33/2 - 1) // damaged
			c.unwrap(at + wrap33/3)
		}
		at += 16000
	}
	c.unwrap(5000)
	base := c.unwrap(8000)
	if got := c.unwrap(11000); got-base != 3000 {
		t.Errorf("after a restart of the encoder: %d on", got-base)
	}
}

// A publisher that is killed leaves a picture half sent: a decoder shows garbage for it, so it is not delivered where pictures are known to end in stuffing.
func TestWhatIsCutOffAtTheEndIsDropped(t *testing.T) {
	sizes := make([]int, 60)
	for i := range sizes {
		sizes[i] = 5000
	}
	frames := pick(testFrames(t, media.H264, time.Second, sizes), 0)
	ts := mux(t, frames)
	for packets := range 5 {
		d := NewDemuxer(Config{})
		got := demux(t, d, ts[:len(ts)-packets*PacketSize], 1316)
		want, drops := len(frames), uint64(0)
		if packets > 0 {
			want, drops = want-1, 1
		}
		if s := d.Stats(); len(got) != want || s.Drops[DropDamaged] != drops {
			t.Errorf("without the last %d packets: %d of %d frames, %s", packets, len(got), len(frames), dropped(s))
		}
	}
}
