package media

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// stock is a get for arenas that counts, and gives the same blocks again.
type stock struct {
	free [BlockClasses][]*Block
	made int
	back int
}

func (s *stock) get(class int) *Block {
	if n := len(s.free[class]); n > 0 {
		b := s.free[class][n-1]
		s.free[class] = s.free[class][:n-1]
		return b
	}
	s.made++
	return NewBlock(class, func(b *Block) {
		s.back++
		for i := 0; i < b.used; i += 100 { // who still reads it sees it
			b.buf[i] = ^b.buf[i]
		}
		s.free[b.Class()] = append(s.free[b.Class()], b)
	})
}

// Frames of all sizes, held for a while by some, keep their bytes until they are let go of; then all blocks are back.
func TestArenaKeepsWhatIsHeld(t *testing.T) {
	s := &stock{}
	a := NewArena(s.get)
	r := rand.New(rand.NewPCG(1, 2))
	type kept struct {
		*Frame
		want byte
	}
	var held []kept
	let := func(i int) {
		k := held[i]
		for i := 0; i < len(k.Payload); i += 37 {
			b := k.Payload[i]
			if b != k.want {
				t.Fatalf("a frame of %d bytes has %x, want %x", len(k.Payload), b, k.want)
			}
		}
		k.Release()
		held[i] = held[len(held)-1]
		held = held[:len(held)-1]
	}
	for n := range 5_000 {
		size := 1 + r.IntN(3000)
		switch r.IntN(400) {
		case 0:
			size = 1 + r.IntN(9<<20) // some larger than any block
		case 1:
			size = BlockSize
		}
		want := byte(n)
		buf := a.Buffer(size + r.IntN(100))
		if len(buf) != 0 || cap(buf) < size {
			t.Fatalf("a buffer for %d: %d of %d", size, len(buf), cap(buf))
		}
		if r.IntN(50) == 0 {
			continue // nothing comes of it
		}
		f := a.Frame(append(buf, bytes.Repeat([]byte{want}, size)...))
		if r.IntN(4) == 0 {
			f.Hold()
			held = append(held, kept{f, want})
		}
		held = append(held, kept{f, want})
		for len(held) > 100 {
			let(r.IntN(len(held)))
		}
	}
	for len(held) > 0 {
		let(0)
	}
	a.Close()
	a.Close()
	free := 0
	for _, c := range s.free {
		free += len(c)
	}
	if free != s.made {
		t.Errorf("%d blocks made, %d came back", s.made, free)
	}
	if s.made > 60 {
		t.Errorf("%d blocks made for 100 frames", s.made)
	}
}

func TestArenaAllocatesNothing(t *testing.T) {
	s := &stock{}
	a := NewArena(s.get)
	payload := make([]byte, 5000)
	var last *Frame
	if n := testing.AllocsPerRun(2000, func() {
		f := a.Frame(append(a.Buffer(len(payload)), payload...))
		if last != nil {
			last.Release()
		}
		last = f
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func TestFramesOfNoArena(t *testing.T) {
	for _, a := range []*Arena{nil, {}} {
		f := a.Frame(append(a.Buffer(3), 1, 2, 3))
		f.Hold()
		for range 5 {
			f.Release()
		}
		if !bytes.Equal(f.Payload, []byte{1, 2, 3}) {
			t.Errorf("got %x", f.Payload)
		}
		a.Close()
	}
	s := &stock{}
	a := NewArena(s.get)
	f := a.Frame(append(a.Buffer(1), 7))
	g := f.Clone()
	f.Release()
	a.Close()
	if g.Release(); s.back != 1 || g.Payload[0] != 7 {
		t.Errorf("a clone is the arena's: %d, %x", s.back, g.Payload)
	}
	defer func() {
		if recover() == nil {
			t.Error("a frame let go of twice goes unnoticed")
		}
	}()
	f.Release()
}
