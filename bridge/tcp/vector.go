package tcp

import "net"

// Vector writes lists of buffers: with one writev on TCP, with one Write of a copy on anything else, since a TLS record
// a buffer would cost more than the copy. It is owned by one goroutine at a time; each Flush is one whole write beside those of others.
type Vector struct {
	List [][]byte // to be written by Flush; append to it, unless Pending

	c     net.Conn
	tcp   bool
	done  int         // buffers of List that Try has written; the next one lacks what was
	spent net.Buffers // List as the write consumes it
	copy  []byte
	try   attempt
}

// NewVector returns an empty vector for c.
func NewVector(c net.Conn) *Vector {
	t, ok := c.(*net.TCPConn)
	v := &Vector{c: c, tcp: ok}
	if ok {
		v.try.open(t)
	}
	return v
}

// Pending reports whether Try has left some of List.
func (v *Vector) Pending() bool { return v.done < len(v.List) }

// Try writes as much of List as the kernel takes at once, and never waits; the caller sees to it that nobody else writes to the connection
// meanwhile. When Pending says so afterwards, Flush writes the rest, and the buffers stay borrowed. What is not TCP, and systems other than
// Linux, leave all to Flush.
func (v *Vector) Try() error {
	if !v.Pending() {
		return nil
	}
	n, err := v.try.writev(v.List[v.done:])
	if err != nil {
		return err
	}
	for n > 0 && n >= len(v.List[v.done]) {
		n -= len(v.List[v.done])
		if v.done++; v.done == len(v.List) {
			v.reset()
			return nil
		}
	}
	v.List[v.done] = v.List[v.done][n:]
	return nil
}

// Flush writes all of List and empties it. The buffers are borrowed until it returns.
func (v *Vector) Flush() error {
	if !v.Pending() {
		return nil
	}
	var err error
	if v.tcp {
		v.spent = net.Buffers(v.List[v.done:])
		_, err = v.spent.WriteTo(v.c)
	} else {
		v.copy = v.copy[:0]
		for _, b := range v.List[v.done:] {
			v.copy = append(v.copy, b...)
		}
		_, err = v.c.Write(v.copy)
		if cap(v.copy) > 256<<10 { // a key frame's; the next comes in a second or two
			v.copy = nil
		}
	}
	v.reset()
	return err
}

func (v *Vector) reset() {
	clear(v.List)
	v.List, v.done = v.List[:0], 0
}
