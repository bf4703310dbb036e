package session

import (
	"sort"
	"time"

	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/wire"
)

// picture is a frame of the media queue: what is dropped as a whole when the budget does not carry all of them (design.md §3).
//
// The order: pictures nothing refers to; then what is left of a group of pictures, with a request for a key frame; sound
// never. A picture is looked at when its turn comes, so that no byte is spent on one that will be late, and with the rate that is known
// then. Before a key frame waits the end of the group before it: of that the newest pictures go first, so that the key frame is in time.
type picture struct {
	base    int64 // media sequence
	count   int
	items   int // datagrams of it in the queue, repairs sent ahead included
	size    int // of one of them on the wire
	capture time.Duration
	track   uint8
	class   fec.Class
	chain   bool // pictures of this codec refer to those before
	config  bool
	started bool
	dropped bool
}

func (p *picture) bytes() int { return p.items * p.size }

// pictureRing bounds the frames that wait, sound among them: ours, 13 s with 30 pictures/s, 9 s with 60.
const pictureRing = 1024

func (s *Sender) picture(n int64) *picture { return &s.pictures[n&(pictureRing-1)] }

// noFrame is what the repairs of a block have that is closed later: they go as they come.
const noFrame = -1

// take takes the next item, it, out of queue q.
func (s *Sender) take(q int, it item) {
	s.queues[q].pop()
	if q != queueMedia || it.frame == noFrame {
		return
	}
	p := s.picture(it.frame)
	if p.items--; !p.dropped {
		s.waits -= p.size
	}
}

// waiting are the frames in the media queue, first to end-1.
func (s *Sender) waiting() (first, end int64) {
	q := &s.queues[queueMedia]
	for i := q.head; i < q.tail; i++ {
		if it := &q.items[i%len(q.items)]; it.frame != noFrame {
			return it.frame, s.frames
		}
	}
	return s.frames, s.frames
}

// enlist makes a picture of the frame whose items were queued from tail on.
func (s *Sender) enlist(f *transport.Frame, capture time.Duration, base int64, k, total int, class fec.Class, q *queue, tail int) {
	p := s.picture(s.frames)
	*p = picture{
		base: base, count: k, items: q.tail - tail, capture: capture, track: f.Track, class: class,
		chain: refers(f.Codec), config: f.Flags.Has(transport.Config),
		size: total/k + packetExtra + wire.SourceHeaderSize + ipUDP,
	}
	s.waits += p.bytes()
	for i := tail; i < q.tail; i++ {
		q.items[i%len(q.items)].frame = s.frames
	}
}

// refers reports whether frames of this codec refer to those before.
func refers(c transport.Codec) bool {
	return c == transport.H264 || c == transport.H265 || c == transport.AV1
}

// limit is when p must have arrived, but for the way.
func (s *Sender) limit(now time.Duration, p *picture) time.Duration {
	at := p.capture + s.most() - time.Millisecond
	if s.policy.lossy(now) { // time for a round: what is lost of it is to be sent again
		at -= min(s.roundTime(), s.most()/4)
	}
	return at
}

// chooseAhead is how long before its time a picture is given up at the earliest where the latency may grow: ours. Of seconds ahead nobody knows the rate,
// and what waits before it is shown.
const chooseAhead = 2 * time.Second

// choose drops what does not fit. It is called before a picture's first packet leaves.
func (s *Sender) choose(now time.Duration) {
	if s.view != nil && s.view.Padding() {
		return // the rate is not known yet; what turns out to be late is given up then
	}
	first, end := s.waiting()
	f := s.forecast(now)
	ahead := 0 // bytes, up to and with i
	for i := first; i < end; i++ {
		p := s.picture(i)
		if p.dropped || p.items == 0 {
			continue
		}
		ahead += p.bytes()
		limit := s.limit(now, p)
		if s.stretches() && limit > now+chooseAhead {
			return // and so are those behind it: there is time until more is known
		}
		if f.arrival(ahead) <= limit || p.config {
			continue
		}
		switch {
		case p.chain && p.class == fec.Key:
			ahead = s.thin(&f, first, i, ahead, limit)
			ahead = s.shorten(&f, first, i, ahead, limit)
		case p.chain && p.class == fec.Reference:
			ahead = s.thin(&f, first, i, ahead, limit)
			if f.arrival(ahead) <= p.capture+s.most()-time.Millisecond { // without time for a round, but with its repairs
				continue
			}
			crowded := s.crowded(now)
			if i > first || p.started || now-p.capture < s.cfg.Latency/4 && !crowded {
				continue // its turn will come; or it is nearly there; or nothing was in its way, so that dropping helps nobody
			}
			s.drop(i)
			if crowded {
				s.cut(i + 1)
				return
			}
			ahead -= p.bytes() // time was lost, not room: what follows has its own
			s.wantKey = true
		case i == first:
			ahead -= p.bytes()
			s.drop(i)
		}
	}
}

// thin drops pictures nothing refers to before frame i, the newest first, until ahead bytes arrive by limit. For a picture
// other than a key frame it does so only where they suffice. It returns the bytes that are left ahead.
func (s *Sender) thin(f *forecast, first, i int64, ahead int, limit time.Duration) int {
	for _, really := range [...]bool{false, true} {
		n := ahead
		for j := i - 1; j >= first && f.arrival(n) > limit; j-- {
			p := s.picture(j)
			if p.class != fec.Droppable || p.dropped || p.started || p.items == 0 {
				continue
			}
			n -= p.bytes()
			if really {
				s.drop(j)
			}
		}
		if !really && f.arrival(n) > limit && s.picture(i).class != fec.Key {
			return ahead
		}
		if really {
			return n
		}
	}
	return ahead
}

// shorten drops the end of the group of pictures that waits before key frame i until ahead bytes arrive by limit.
func (s *Sender) shorten(f *forecast, first, i int64, ahead int, limit time.Duration) int {
	track := s.picture(i).track
	for j := i - 1; j >= first && f.arrival(ahead) > limit; j-- {
		p := s.picture(j)
		if p.track != track || !p.chain || p.config || p.dropped || p.items == 0 {
			continue
		}
		if p.class == fec.Key {
			break
		}
		ahead -= p.bytes()
		s.drop(j)
	}
	return ahead
}

// cut drops what refers to a picture that was lost: the frames from i on, to the next key frame. Where that is not here yet, it is asked for, and
// frames are refused until it comes.
func (s *Sender) cut(i int64) {
	track := s.picture(i - 1).track
	for ; i < s.frames; i++ {
		p := s.picture(i)
		if p.track != track || !p.chain || p.config {
			continue
		}
		if p.class == fec.Key {
			return
		}
		if !p.dropped && p.items > 0 {
			s.drop(i)
		}
	}
	s.wantKey = true
	s.broken[track/8] |= 1 << (track % 8)
}

// refused reports whether f refers to what was cut.
func (s *Sender) refused(f *transport.Frame, class fec.Class) bool {
	if !refers(f.Codec) || s.broken[f.Track/8]>>(f.Track%8)&1 == 0 || class == fec.Key {
		return false
	}
	s.stats.FramesDropped[class]++
	return true
}

// mended: a key frame was taken in.
func (s *Sender) mended(f *transport.Frame) {
	if f.Flags.Has(transport.Key) && !f.Flags.Has(transport.Config) {
		s.broken[f.Track/8] &^= 1 << (f.Track % 8)
		s.wantKey = false
	}
}

// drop gives up a picture that waits. Its packets leave the queue as their turn comes; for its blocks they are as good as there.
func (s *Sender) drop(n int64) {
	p := s.picture(n)
	p.dropped = true
	s.waits -= p.bytes()
	s.stats.FramesDropped[p.class]++
	for seq := p.base; seq < p.base+int64(p.count) && s.valid(seq); seq++ {
		m := s.packet(seq)
		if b := s.block(m.block); b != nil {
			b.got(m)
		}
	}
	s.queues[queueControl].push(item{kind: sendNotice, ref: notice(p.base, p.count), deadline: p.capture + 2*s.most()})
}

// lost acts on a block that was given up: what is left of its pictures is of no use, and, where the path is full, what refers to them
// either. Where it is not, a decoder conceals more than a cut would leave.
func (s *Sender) lost(now time.Duration, b *block) {
	end := s.frames
	first := max(0, end-pictureRing)
	n := first + int64(sort.Search(int(end-first), func(i int) bool { return s.picture(first+int64(i)).base > b.base })) - 1
	for n = max(n, first); n < end; n++ {
		p := s.picture(n)
		if p.base >= b.base+int64(b.count) {
			return
		}
		if p.dropped || p.base+int64(p.count) <= b.base || p.class != b.class || s.whole(p) {
			continue
		}
		s.drop(n)
		if p.chain && refersOn(p.class) && s.crowded(now) {
			s.cut(n + 1)
			return
		}
	}
}

// whole reports whether the receiver has all of p.
func (s *Sender) whole(p *picture) bool {
	for seq := p.base; seq < p.base+int64(p.count); seq++ {
		if s.valid(seq) && !s.packet(seq).here {
			return false
		}
	}
	return true
}

// crowded reports whether the path carries less than the stream takes: a queue stands, or what waits is more than a moment's and the
// rate is below the stream's. What piled up while this end stood still is gone soon.
func (s *Sender) crowded(now time.Duration) bool {
	if s.view == nil {
		return s.waits > s.budget.rate.Bytes(backlogFree)
	}
	if s.view.Queue()-s.stood.explains(now) > doubtQueue {
		return true
	}
	rate := s.granted(now)
	return s.waits > rate.Bytes(backlogFree) && float64(rate) < float64(s.needed(now))*(1+min(shareMost, s.policy.overhead()))
}
