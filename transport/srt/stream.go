package srt

import "time"

// stream is what is received: by a connection of its own, or by the members of a group, which all carry the same numbers.
type stream struct {
	members []*Conn // those that are there
	owner   *Conn   // the first one, whether it is there still or not
	past    Stats   // of those that have gone
	group   groupKey
	kind    uint8  // of the group: groupBroadcast or groupBackup; 0: no group
	mirror  uint32 // our id of the group
	leader  *Conn  // whose samples the clock takes

	latency  time.Duration
	clock    clock
	settling settling
	ring     ring
	losses   losses
	hold     hold

	next     int64 // the first number not delivered nor given up
	high     int64 // the number after the highest one received
	ready    time.Duration
	buffered int
	lent     *buffer
	pauses   pauses // between its data packets
	first    bool   // a data packet has come
	flush    bool   // what is here is delivered at once
}

// numberOf is the number of the first packet: far from 0, so that numbers before it are not negative.
func numberOf(isn uint32) int64 { return int64(isn) + 1<<31 }

func newStream(isn uint32) *stream {
	at := numberOf(isn)
	return &stream{ready: forever, losses: losses{due: forever}, next: at, high: at}
}

// join makes a connection one of the stream's.
func (s *stream) join(c *Conn) {
	c.stream = s
	s.members = append(s.members, c)
	if s.owner == nil {
		s.owner = c
	}
}

// leave takes it off the stream.
func (c *Conn) leave() {
	for i, m := range c.members {
		if m == c {
			c.past.add(&c.stats)
			c.stats = Stats{}
			c.members = append(c.members[:i:i], c.members[i+1:]...)
			break
		}
	}
}

// others reports whether another member goes on.
func (c *Conn) others() bool {
	for _, m := range c.members {
		if m != c && m.ending == nil {
			return true
		}
	}
	return false
}

// lead is the member whose samples the clock takes: the oldest one there.
func (s *stream) lead() *Conn {
	for _, m := range s.members {
		if m.ending == nil {
			if s.leader != m {
				if s.leader != nil {
					s.clock.rereference()
				}
				s.leader = m
			}
			return m
		}
	}
	return nil
}

// Owner is the connection that was accepted: itself, or the first member of its group, also when that has gone.
func (c *Conn) Owner() *Conn { return c.owner }
