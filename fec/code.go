package fec

import (
	"encoding/binary"
	"math/bits"

	"github.com/klauspost/reedsolomon"
)

const (
	// MaxCount is the longest range of a repair symbol, the number of columns of the matrix.
	MaxCount = 128
	// MaxRows is the number of rows of the matrix.
	MaxRows = 128
	// LengthBytes is what a source symbol has in front of its payload.
	LengthBytes = 2

	// lane is the multiple to which buffers are padded: the AVX2 kernels take 64 bytes a step and the
	// last odd bytes one by one, which doubles the time (1200 against 1216 bytes).
	lane = 64
)

// coefTable[row][column] = 1/((128+row) ⊕ column).
var coefTable = func() (t [MaxRows][MaxCount]byte) {
	for row := range t {
		for col := range t[row] {
			t[row][col] = reedsolomon.Inv(byte(MaxCount+row) ^ byte(col))
		}
	}
	return t
}()

// Coef is the coefficient of source symbol seq in a repair of this row. row: 0..127; seq ≥ 0.
func Coef(row int, seq int64) byte { return coefTable[row][seq&(MaxCount-1)] }

// kernel has no options and no state; its slices go through SIMD code without goroutines.
var kernel reedsolomon.LowLevel

// symbol is one source symbol or one side of an equation: n bytes that count, and zeros up to len(buf),
// a multiple of lane.
type symbol struct {
	buf []byte
	n   int
}

// reserve makes buf at least n bytes long; size is the length to allocate when it is not.
func (s *symbol) reserve(n, size int) {
	if n <= len(s.buf) {
		return
	}
	grown := make([]byte, pad(max(n, size)))
	copy(grown, s.buf[:s.n])
	s.buf = grown
}

// set makes the symbol a copy of b. The buffer must be long enough.
func (s *symbol) set(b []byte) {
	copy(s.buf, b)
	s.cut(len(b))
}

// setPayload makes the symbol length ‖ payload. The buffer must be long enough.
func (s *symbol) setPayload(payload []byte) {
	binary.BigEndian.PutUint16(s.buf, uint16(len(payload)))
	copy(s.buf[LengthBytes:], payload)
	s.cut(LengthBytes + len(payload))
}

// cut ends the symbol after n bytes that were just written and clears what an older, longer one left behind.
func (s *symbol) cut(n int) {
	if s.n > n {
		clear(s.buf[n:s.n])
	}
	s.n = n
}

// add adds c times o. The buffer must be long enough for o.
func (s *symbol) add(c byte, o *symbol) {
	n := pad(o.n)
	kernel.GalMulSliceXor(c, o.buf[:n], s.buf[:n])
	s.n = max(s.n, o.n)
}

// scale multiplies by c.
func (s *symbol) scale(c byte) {
	n := pad(s.n)
	kernel.GalMulSlice(c, s.buf[:n], s.buf[:n])
}

// payload is the bytes after the length; nil when the symbol is no valid source symbol.
func (s *symbol) payload() []byte {
	if s.n < LengthBytes {
		return nil
	}
	end := LengthBytes + int(binary.BigEndian.Uint16(s.buf))
	if end > s.n || !isZero(s.buf[end:s.n]) {
		return nil
	}
	return s.buf[LengthBytes:end:end]
}

func pad(n int) int { return (n + lane - 1) &^ (lane - 1) }

func isZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.NativeEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// single reports whether exactly one coefficient is not zero; the caller knows that one is not.
func single(coef []byte) bool {
	seen := false
	for len(coef) >= 8 {
		if w := binary.LittleEndian.Uint64(coef); w != 0 {
			// A word whose only non-zero byte is byte i equals itself masked to that byte.
			if low := uint64(0xff) << (bits.TrailingZeros64(w) &^ 7); seen || w&^low != 0 {
				return false
			}
			seen = true
		}
		coef = coef[8:]
	}
	return seen
}

func inverse(c byte) byte { return reedsolomon.Inv(c) }
