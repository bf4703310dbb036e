package tcp

import (
	"bytes"
	"io"
	"net"
	"testing"
)

func TestVectorWritesAllOfIt(t *testing.T) {
	a, b := pair(t)
	pa, pb := net.Pipe()
	defer pb.Close()
	for _, c := range []struct {
		name string
		w, r net.Conn
	}{{"TCP", a, b}, {"other", pa, pb}} {
		v := NewVector(c.w)
		for range 3 {
			var want []byte
			for i := range 2000 { // more than one writev takes (1024)
				p := bytes.Repeat([]byte{byte(i)}, i%7)
				v.List, want = append(v.List, p), append(want, p...)
			}
			done := make(chan error, 1)
			go func() { done <- v.Flush() }()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c.r, got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s: %v, %d bytes", c.name, err, len(got))
			}
			if err := <-done; err != nil || len(v.List) != 0 {
				t.Fatalf("%s: %v, %d buffers left", c.name, err, len(v.List))
			}
		}
		c.w.Close()
		v.List = append(v.List, []byte{1})
		if err := v.Flush(); err == nil {
			t.Errorf("%s: no error on a closed connection", c.name)
		}
	}
}

func BenchmarkVector(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	go func() {
		s, err := l.Accept()
		if err == nil {
			_, _ = io.Copy(io.Discard, s)
			s.Close()
		}
	}()
	v := NewVector(c)
	head, body := make([]byte, 12), make([]byte, 4096)
	b.ReportAllocs()
	b.SetBytes(17000)
	for range b.N {
		for range 4 {
			v.List = append(v.List, head, body)
		}
		if err := v.Flush(); err != nil {
			b.Fatal(err)
		}
	}
}
