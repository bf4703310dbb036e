package mpegts

import (
	"time"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// Config sets a Demuxer up. The zero value is right for live streams.
type Config struct {
	// Program is the program_number to follow; 0: the first of the PAT.
	Program uint16
	// MaxAccessUnit bounds a picture in bytes, and with it the memory; 0: 4 MiB.
	MaxAccessUnit int
	// EarlyAfter: a live muxer leaves the length of a video PES packet open, so that a picture's end is
	// known for certain only from the next one's start, a frame time later. But muxers fill the last
	// packet of a PES packet with stuffing. After this many pictures of a stream with stuffing at their
	// end, and none with stuffing elsewhere, a picture is delivered at its stuffing. 0: 25; below 0: never.
	//
	// A stream that stuffs in the midst is found out before that and never delivered early. Should it
	// begin to later, one picture is delivered twice, cut and then whole with the same times, it is
	// counted in Stats.Glued, and the early end is off for that PID for good.
	EarlyAfter int
	// Memory is what frames lie in; the demuxer owns it until its end, and its owner closes it. nil: the garbage collector's.
	Memory *media.Arena
}

// Demuxer takes a transport stream apart. It is owned by one goroutine; the package comment has its memory bound.
type Demuxer struct {
	cfg   Config
	now   time.Time // of the Write in progress
	stats Stats

	hunting bool   // sync is lost
	carry   []byte // the start of a packet whose rest is still to come, or what is searched for sync

	slots   [pidNull + 1]uint8 // by PID: who takes its packets
	pat     section
	pmt     section
	program program
	streams [maxStreams]*stream // nil: free
	tracks  [maxTracks]track    // by Frame.Track; outlives the PIDs
	ignored [8]Ignored          // Stats.IgnoredStreams of them

	clock clock
	nals  []span      // scratch: NAL units of a picture
	units []audioUnit // scratch: frames of an audio PES packet
	work  []byte      // scratch: an audio PES packet behind the rest of the one before
	au    media.AccessUnit

	ready []*media.Frame // what Next hands over, from head on
	head  int
}

// Slots of PIDs. Streams follow.
const (
	slotNone = iota
	slotPAT
	slotPMT
	slotStream
)

// NewDemuxer makes a demuxer.
func NewDemuxer(cfg Config) *Demuxer {
	if cfg.MaxAccessUnit <= 0 {
		cfg.MaxAccessUnit = defaultMaxAccessUnit
	}
	if cfg.EarlyAfter == 0 {
		cfg.EarlyAfter = 25
	}
	d := &Demuxer{cfg: cfg, carry: make([]byte, 0, huntWindow)}
	d.slots[0] = slotPAT
	return d
}

// Write takes the next bytes of the stream, cut anywhere, and borrows them. now becomes the Arrival of
// the frames they complete. Drain Next afterwards.
func (d *Demuxer) Write(now time.Time, b []byte) {
	d.now = now
	d.stats.Bytes += uint64(len(b))
	for len(d.carry) > 0 {
		need := PacketSize
		if d.hunting {
			need = huntWindow
		}
		need -= len(d.carry)
		if len(b) < need {
			d.carry = append(d.carry, b...)
			return
		}
		d.carry = append(d.carry, b[:need]...)
		b = b[need:]
		n := d.consume(d.carry)
		d.carry = d.carry[:copy(d.carry, d.carry[n:])]
	}
	n := d.consume(b)
	d.carry = append(d.carry, b[n:]...)
}

// Next hands over the next frame; false: there is none until the next Write or Flush.
// Frames of one track come in the order of the stream, those of different tracks as they were completed.
func (d *Demuxer) Next() (*media.Frame, bool) {
	if d.head == len(d.ready) {
		return nil, false
	}
	f := d.ready[d.head]
	d.ready[d.head] = nil
	d.head++
	if d.head == len(d.ready) {
		d.ready, d.head = d.ready[:0], 0
	}
	return f, true
}

// Flush ends the stream: what is whole, as far as can be known, becomes frames, the rest is counted.
// The demuxer may be written to again, as after a gap.
func (d *Demuxer) Flush() {
	if d.hunting {
		d.lastChance()
	}
	d.stats.SkippedBytes += uint64(len(d.carry))
	d.carry, d.hunting = d.carry[:0], false
	for _, s := range d.streams {
		if s != nil {
			d.end(s, endStream)
		}
	}
}

// Stats returns a snapshot of the counters.
func (d *Demuxer) Stats() Stats {
	s := d.stats
	s.PendingBytes = len(d.carry)
	return s
}

// emit queues a frame for Next and counts it; it takes f.
func (d *Demuxer) emit(f *media.Frame) {
	if len(d.ready)-d.head >= maxReady {
		d.stats.Drops[DropBacklog]++
		f.Release()
		return
	}
	d.stats.Frames++
	d.ready = append(d.ready, f)
}

// drop counts an access unit that came to nothing.
func (d *Demuxer) drop(r DropReason) {
	d.stats.Units++
	d.stats.Drops[r]++
}

// packet hands one packet to whom its PID belongs.
func (d *Demuxer) packet(b []byte) {
	d.stats.Packets++
	var p packet
	r := p.parse(b)
	slot := d.slots[p.pid]
	if r == dropNone {
		switch slot {
		case slotNone:
			r = DropUnknownPID
		case slotPAT:
			r = d.sections(&d.pat, &p)
		case slotPMT:
			r = d.sections(&d.pmt, &p)
		default:
			r = d.pes(d.streams[slot-slotStream], &p)
		}
	}
	if r == dropNone {
		d.stats.Used++
	} else {
		d.stats.Drops[r]++
	}
}
