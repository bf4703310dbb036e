package tcp

import "net"

// Vector writes lists of buffers: with one writev on TCP, with one Write of a copy on anything else, since a TLS record
// a buffer would cost more than the copy. It is owned by one goroutine; each Flush is one whole write beside those of others.
type Vector struct {
	List [][]byte // to be written by Flush; append to it

	c     net.Conn
	tcp   bool
	spent net.Buffers // List as the write consumes it
	copy  []byte
}

// NewVector returns an empty vector for c.
func NewVector(c net.Conn) *Vector {
	_, ok := c.(*net.TCPConn)
	return &Vector{c: c, tcp: ok}
}

// Flush writes all of List and empties it. The buffers are borrowed until it returns.
func (v *Vector) Flush() error {
	if len(v.List) == 0 {
		return nil
	}
	var err error
	if v.tcp {
		v.spent = net.Buffers(v.List)
		_, err = v.spent.WriteTo(v.c)
	} else {
		v.copy = v.copy[:0]
		for _, b := range v.List {
			v.copy = append(v.copy, b...)
		}
		_, err = v.c.Write(v.copy)
		if cap(v.copy) > 256<<10 { // a key frame's; the next comes in a second or two
			v.copy = nil
		}
	}
	clear(v.List)
	v.List = v.List[:0]
	return err
}
