package tcp

import (
	"bytes"
	"io"
	"net"
	"runtime"
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

// What the kernel does not take at once is Pending, and Flush writes it: the peer gets every byte once.
func TestVectorTriesAndFlushes(t *testing.T) {
	a, b := pair(t)
	_ = a.(*net.TCPConn).SetWriteBuffer(16 << 10)
	_ = b.(*net.TCPConn).SetReadBuffer(16 << 10)
	v := NewVector(a)
	var want []byte
	for i := range 3000 { // more than one writev takes, and more than the buffers
		p := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, i%700)
		want = append(want, p...)
		v.List = append(v.List, p)
	}
	for range 100 {
		if err := v.Try(); err != nil {
			t.Fatal(err)
		}
	}
	if !v.Pending() {
		t.Fatalf("a peer that does not read took %d bytes", len(want))
	}
	got := make(chan []byte, 1)
	go func() {
		p := make([]byte, len(want))
		n, _ := io.ReadFull(b, p)
		got <- p[:n]
	}()
	if err := v.Flush(); err != nil || v.Pending() || len(v.List) != 0 {
		t.Fatalf("%v, %d left", err, len(v.List))
	}
	if !bytes.Equal(<-got, want) {
		t.Error("the peer got something else")
	}
	v.List = append(v.List, []byte("x"))
	if err := v.Try(); err != nil || v.Pending() && runtime.GOOS == "linux" {
		t.Errorf("%v, pending %v", err, v.Pending())
	}
}

func TestVectorOfAClosedConnection(t *testing.T) {
	a, _ := pair(t)
	v := NewVector(a)
	_ = a.Close()
	v.List = append(v.List, []byte("x"))
	if err := v.Try(); err == nil && !v.Pending() {
		t.Error("written")
	}
	if err := v.Flush(); err == nil {
		t.Error("flushed")
	}
}
