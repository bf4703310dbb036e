package watch

import (
	"fmt"
	"time"

	"github.com/fairlead-live/fairlead/bridge/flv"
	"github.com/fairlead-live/fairlead/bridge/media"
	"github.com/fairlead-live/fairlead/bridge/mpegts"
)

// parser makes frames of bytes in either form; it decides by the first ones.
type parser struct {
	head []byte // until the form is known
	flv  *flvParser
	ts   *mpegts.Demuxer
}

type flvParser struct {
	demuxer flv.Demuxer
	parser  flv.Parser
}

// sniffSize is enough to tell: "FLV", or the sync byte of three transport packets.
const sniffSize = 2*mpegts.PacketSize + 1

func (p *parser) write(now time.Time, b []byte, emit func(*media.Frame)) error {
	if p.flv == nil && p.ts == nil {
		p.head = append(p.head, b...)
		switch {
		case len(p.head) >= 3 && string(p.head[:3]) == "FLV":
			p.flv = &flvParser{}
		case len(p.head) < sniffSize:
			return nil
		case syncs(p.head):
			p.ts = mpegts.NewDemuxer(mpegts.Config{})
		default:
			return fmt.Errorf("%w: begins with %x", ErrFormat, p.head[:8])
		}
		b, p.head = p.head, nil
	}
	if p.flv != nil {
		return p.flv.write(now, b, emit)
	}
	p.ts.Write(now, b)
	drain(p.ts, emit)
	return nil
}

// syncs finds three sync bytes at the right distance anywhere in the first packet's worth of bytes.
func syncs(b []byte) bool {
	for i := 0; i < mpegts.PacketSize && i+2*mpegts.PacketSize < len(b); i++ {
		if b[i] == 0x47 && b[i+mpegts.PacketSize] == 0x47 && b[i+2*mpegts.PacketSize] == 0x47 {
			return true
		}
	}
	return false
}

// flush gives out what a demuxer still holds.
func (p *parser) flush(emit func(*media.Frame)) {
	if p.ts != nil {
		p.ts.Flush()
		drain(p.ts, emit)
	}
}

func drain(d *mpegts.Demuxer, emit func(*media.Frame)) {
	for f, ok := d.Next(); ok; f, ok = d.Next() {
		emit(f)
	}
}

func (p *flvParser) write(now time.Time, b []byte, emit func(*media.Frame)) error {
	if err := p.demuxer.Write(b); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	for tag, ok := p.demuxer.Next(); ok; tag, ok = p.demuxer.Next() {
		p.tag(now, tag.Type, tag.Time, tag.Body, emit)
	}
	if err := p.demuxer.Err(); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	return nil
}

func (p *flvParser) tag(now time.Time, typ flv.TagType, at time.Duration, body []byte, emit func(*media.Frame)) {
	if typ == flv.TagScript {
		return
	}
	if f := p.parser.Parse(typ, at, body); f != nil {
		f.Arrival = now
		emit(f)
	}
}
