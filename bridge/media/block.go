package media

import (
	"math/bits"
	"sync/atomic"
)

const (
	// BlockSize is a Block of the smallest class: a sixth of a second of 4 Mbit/s, or a key frame of that. Class c is BlockSize << c. Ours: with
	// 128 KiB a stream takes 0.1 MB more, for what is not filled yet.
	BlockSize = 80 << 10
	// BlockClasses is how many there are: the largest holds 10 MiB; 8 MiB is the longest message a publisher may send.
	BlockClasses = 8
	// blockFrames is how many frames share a block: 0.4 s of pictures and their sound.
	blockFrames = 32
)

// Block is memory that consecutive frames of one publisher share, and that is used again when nobody holds one of them. Who forgets to let go
// of a frame leaves its block to the garbage collector, which does no harm.
type Block struct {
	class   int
	free    func(*Block)
	holders atomic.Int32 // of frames, and the arena that fills it
	buf     []byte
	used    int
	frames  [blockFrames]Frame
	n       int
}

// NewBlock makes a block of a class. free is given it when nobody holds it any more, from any goroutine.
func NewBlock(class int, free func(*Block)) *Block {
	return &Block{class: class, free: free, buf: make([]byte, BlockSize<<class)}
}

// Class returns the block's class.
func (b *Block) Class() int { return b.class }

func (b *Block) release() {
	switch n := b.holders.Add(-1); {
	case n == 0:
		b.free(b)
	case n < 0:
		panic("media: a frame was let go of twice")
	}
}

// Arena cuts frames out of blocks. It is owned by one goroutine. The zero Arena leaves all to the garbage collector.
type Arena struct {
	get  func(class int) *Block
	cur  *Block
	next *Block // what Buffer has returned is part of; nil: of nothing
}

// NewArena returns an arena that takes its blocks from get.
func NewArena(get func(class int) *Block) *Arena { return &Arena{get: get} }

// Buffer returns an empty buffer of capacity n or more, for the payload of the next Frame. It is lent until the next call.
func (a *Arena) Buffer(n int) []byte {
	if a == nil {
		return make([]byte, 0, n)
	}
	a.drop()
	switch {
	case a.get == nil || n > BlockSize<<(BlockClasses-1):
		return make([]byte, 0, n)
	case n > BlockSize: // one of its own; the current one goes on behind it
		a.next = a.take(bits.Len(uint((n - 1) / BlockSize)))
		return a.next.buf[:0]
	case a.cur == nil || a.cur.n == blockFrames || a.cur.used+n > len(a.cur.buf):
		if a.cur != nil {
			a.cur.release()
		}
		a.cur = a.take(0)
	}
	a.next = a.cur
	return a.cur.buf[a.cur.used : a.cur.used : a.cur.used+n]
}

func (a *Arena) take(class int) *Block {
	b := a.get(class)
	b.used, b.n = 0, 0
	b.holders.Store(1)
	return b
}

// drop gives a block back that Buffer took for one frame and that has none.
func (a *Arena) drop() {
	if a.next != nil && a.next != a.cur {
		a.next.release()
	}
	a.next = nil
}

// Frame returns a frame whose payload is what the last Buffer was filled with by append, held once.
func (a *Arena) Frame(payload []byte) *Frame {
	if a == nil || a.next == nil {
		return &Frame{Payload: payload}
	}
	b := a.next
	a.next = nil
	f := &b.frames[b.n]
	b.n++
	*f = Frame{Payload: payload[:len(payload):len(payload)], block: b}
	if b == a.cur {
		b.used += len(payload)
		b.holders.Add(1)
	} // else the arena's hold is the frame's
	return f
}

// Close lets go of the arena's memory; frames that are held stay.
func (a *Arena) Close() {
	if a == nil {
		return
	}
	a.drop()
	if a.cur != nil {
		a.cur.release()
		a.cur = nil
	}
}

// Hold says that one more keeps f. A frame is held once when it is made.
func (f *Frame) Hold() {
	if f.block != nil {
		f.block.holders.Add(1)
	}
}

// Release says that one fewer does; what f points to may be another frame then. It does nothing to a frame that is not an Arena's.
func (f *Frame) Release() {
	if f.block != nil {
		f.block.release()
	}
}

// Clone returns a copy with a payload of its own, that is nobody's to release.
func (f *Frame) Clone() *Frame {
	g := *f
	g.Payload, g.block = append([]byte(nil), f.Payload...), nil
	return &g
}
