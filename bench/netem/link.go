package netem

import "time"

// A Link is one direction of a link. It is owned by one goroutine; it holds no lock.
type Link struct {
	n    uint64 // number of the next packet
	last time.Duration
	ecn  bool
	over int

	outage   windows
	handover timeline
	path     uint32

	losses  timeline
	loss    lossProcess
	corrupt chance
	bit     stream
	double  chance

	bucket   bucket
	limit    Limit
	room     int // bytes, of a limit in time
	rates    timeline
	queue    queue
	capacity capacity
	useCoDel bool
	codel    codel

	delays     timeline
	delay      Delay
	jitter     jitter
	copyJitter jitter
	reorder    chance
	gap        int
	sinceGap   int
	lastOut    time.Duration

	count Counters
}

// NewLink makes a link at time 0. It panics with Validate's error when c makes no sense: callers with
// input of others call Validate first. Borrows c.
func NewLink(c Config, seed uint64, dir Direction) *Link {
	if err := c.Validate(); err != nil {
		panic(err)
	}
	of := func(e effect) stream { return newStream(seed, dir, e) }
	rate := c.Rate
	if c.Trace != nil {
		rate = c.Trace.Mean()
	}
	return &Link{
		ecn: c.ECN, over: c.Overhead,
		outage:     newWindows(newTimeline(&c, StepOutage, StepHandover), Drought{}, 0),
		handover:   newTimeline(&c, StepHandover),
		losses:     newTimeline(&c, StepLoss),
		loss:       newLossProcess(seed, dir, c.Loss, 0),
		corrupt:    chance{p: c.Corrupt.P, corr: c.Corrupt.Corr, draw: of(effectCorrupt)},
		bit:        of(effectCorruptBit),
		double:     chance{p: c.Duplicate.P, corr: c.Duplicate.Corr, draw: of(effectDuplicate)},
		bucket:     newBucket(c.Policer),
		limit:      c.Limit,
		room:       rate.bytesIn(c.Limit.Time),
		rates:      newTimeline(&c, StepRate),
		capacity:   newCapacity(&c, seed, dir),
		useCoDel:   c.CoDel.On,
		codel:      newCoDel(c.CoDel),
		delays:     newTimeline(&c, StepDelay),
		delay:      c.Delay,
		jitter:     jitter{draw: of(effectJitter), draw2: of(effectJitter2)},
		copyJitter: jitter{draw: of(effectCopyJitter), draw2: of(effectCopyJitter2)},
		reorder:    chance{p: c.Reorder.P, corr: c.Reorder.Corr, draw: of(effectReorder)},
		gap:        max(1, c.Reorder.Gap),
	}
}

// Admit takes packet number 0, 1, 2, … of size bytes at time now since the link's start and says when
// it is delivered; deliver means nothing when fate.Drop is not Delivered. The packet counts as
// ECN-capable. A now before the last one counts as the last one.
func (l *Link) Admit(now time.Duration, size int) (deliver time.Duration, fate Fate) {
	return l.AdmitECT(now, size, true)
}

// AdmitECT is Admit for a packet that is ECN-capable (its IP header says ECT) or not: ecn drops the latter.
func (l *Link) AdmitECT(now time.Duration, size int, ect bool) (deliver time.Duration, fate Fate) {
	now = max(now, l.last)
	l.last = now
	n := l.n
	l.n++
	size = max(size, 0)
	l.count.Admitted++
	l.count.AdmittedBytes += uint64(size)
	l.schedule(now)

	// Every draw of a packet is made here, whatever becomes of it: see the package comment.
	outage := l.outage.closed(now) > 0
	lost := l.loss.lost(n, now)
	corrupt := l.corrupt.p > 0 && l.corrupt.next(n)
	double := l.double.p > 0 && l.double.next(n)
	delay := l.jitter.next(n, &l.delay)
	early := l.reorder.p > 0 && l.overtakes(n)
	fate.Path = l.path

	if outage {
		return l.dropped(Outage, fate)
	}
	if lost {
		if !l.ecn || !ect {
			return l.dropped(Lost, fate)
		}
		fate.Marked = true
	}
	if corrupt {
		fate.Corrupted = true
		fate.CorruptBit = int(l.bit.at(n) % uint64(max(1, size*8)))
	}
	first := l.pass(now, size, ect, delay, early)
	if !double {
		return l.finish(first, fate, size)
	}
	l.count.Duplicated++
	second := l.pass(now, size, ect, l.copyJitter.next(n, &l.delay), early)
	switch {
	case second.drop != Delivered:
		l.count.Dropped[second.drop]++
	case first.drop != Delivered:
		l.count.Dropped[first.drop]++
		first = second
	default:
		l.count.Delivered++
		l.count.DeliveredBytes += uint64(size)
		fate.Duplicated, fate.CopyAt = true, second.deliver
		fate.Marked = fate.Marked || second.marked
	}
	return l.finish(first, fate, size)
}

// schedule applies the steps that are due.
func (l *Link) schedule(now time.Duration) {
	for {
		s, ok := l.losses.pop(now)
		if !ok {
			break
		}
		l.loss.set(s.Loss, s.At)
	}
	for {
		s, ok := l.delays.pop(now)
		if !ok {
			break
		}
		l.delay = s.Delay
	}
	for {
		s, ok := l.rates.pop(now)
		if !ok {
			break
		}
		l.room = s.Rate.bytesIn(l.limit.Time)
	}
	for {
		if _, ok := l.handover.pop(now); !ok {
			break
		}
		l.path++
	}
}

// overtakes is tc's reorder: every gapth packet, with chance P, is sent at once.
func (l *Link) overtakes(n uint64) bool {
	hit := l.reorder.next(n)
	if l.sinceGap < l.gap-1 || !hit {
		l.sinceGap++
		return false
	}
	l.sinceGap = 0
	return true
}

// passage is what effects 5 to 7 did to one packet or copy.
type passage struct {
	drop    Drop
	deliver time.Duration
	wait    time.Duration
	marked  bool
	early   bool
}

func (l *Link) pass(now time.Duration, size int, ect bool, delay time.Duration, early bool) passage {
	wire := size + l.over
	if !l.bucket.admit(now, wire) {
		return passage{drop: Policed}
	}
	l.queue.leave(now)
	if l.full(wire) {
		return passage{drop: QueueFull}
	}
	p := passage{early: early}
	start := l.capacity.start(now)
	if l.useCoDel && l.codel.drop(start, start-now, l.queue.bytes) {
		if !l.ecn || !ect {
			// It waited in the queue until CoDel took it out.
			l.queue.enter(start, wire)
			return passage{drop: CoDelDrop}
		}
		p.marked = true
	}
	leave := l.capacity.finish(start, wire)
	if leave > now {
		l.queue.enter(leave, wire)
	}
	p.wait = leave - now
	p.deliver = leave
	if !early {
		p.deliver += delay
		if l.delay.InOrder {
			p.deliver = max(p.deliver, l.lastOut)
			l.lastOut = p.deliver
		}
	}
	return p
}

// full says whether the queue has no room for size bytes.
func (l *Link) full(size int) bool {
	switch {
	case l.limit.Time > 0:
		return l.queue.packets > 0 && l.queue.bytes+size > l.room
	case l.limit.Bytes > 0:
		return l.queue.bytes+size > l.limit.Bytes
	case l.limit.Packets > 0:
		return l.queue.packets >= l.limit.Packets
	}
	return l.queue.packets >= defaultLimit
}

// defaultLimit of the queue in packets: tc netem's.
const defaultLimit = 1000

func (l *Link) dropped(why Drop, f Fate) (time.Duration, Fate) {
	l.count.Dropped[why]++
	return 0, Fate{Drop: why, Path: f.Path}
}

func (l *Link) finish(p passage, f Fate, size int) (time.Duration, Fate) {
	if p.drop != Delivered {
		return l.dropped(p.drop, f)
	}
	f.Wait = p.wait
	f.Marked = f.Marked || p.marked
	f.Early = p.early
	l.count.Delivered++
	l.count.DeliveredBytes += uint64(size)
	if f.Marked {
		l.count.Marked++
	}
	if f.Corrupted {
		l.count.Corrupted++
	}
	if f.Early {
		l.count.Early++
	}
	return p.deliver, f
}
