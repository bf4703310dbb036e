package media

import (
	"bytes"
	"slices"
	"testing"
)

func TestSplitAccessUnit(t *testing.T) {
	for _, c := range []struct {
		why     string
		codec   Codec
		nals    [][]byte
		flags   Flags
		vcl     bool
		payload []byte
		sps     int
	}{
		{"IDR with delimiter and parameter sets", H264, [][]byte{{9, 0xf0}, {0x67, 1}, {0x68, 2}, {0x65, 3}}, Key, true, []byte{0, 0, 0, 2, 0x65, 3}, 1},
		{"P picture", H264, [][]byte{{0x41, 3}}, 0, true, []byte{0, 0, 0, 2, 0x41, 3}, 0},
		{"B picture nothing refers to", H264, [][]byte{{0x01, 3}, {}}, Droppable, true, []byte{0, 0, 0, 2, 0x01, 3}, 0},
		{"filler and SEI", H264, [][]byte{{12, 1}, {6, 5}}, 0, false, []byte{0, 0, 0, 2, 6, 5}, 0},
		{"H265 IDR", H265, [][]byte{{0x40, 1}, {0x42, 1}, {0x44, 1}, {0x26, 1, 9}}, Key, true, []byte{0, 0, 0, 3, 0x26, 1, 9}, 1},
		{"H265 trailing non-reference", H265, [][]byte{{0x00, 1, 9}}, Droppable, true, []byte{0, 0, 0, 3, 0, 1, 9}, 0},
	} {
		au := SplitAccessUnit(nil, c.codec, slices.Values(c.nals))
		if au.Flags != c.flags || au.VCL != c.vcl || !bytes.Equal(au.Payload, c.payload) || len(au.SPS) != c.sps {
			t.Errorf("%s: got %+v", c.why, au)
		}
		if len(au.Payload) > 0 && !ValidNALs(au.Payload) {
			t.Errorf("%s: payload is not valid", c.why)
		}
	}
}

func TestNALsStopAtBadLength(t *testing.T) {
	if ValidNALs([]byte{0, 0, 0, 9, 1}) || ValidNALs([]byte{0, 0, 0, 0}) || ValidNALs(nil) || ValidNALs([]byte{0, 0}) {
		t.Error("accepted a malformed payload")
	}
	n := 0
	for range NALs([]byte{0, 0, 0, 1, 7, 0, 0, 0, 9, 1}) {
		n++
	}
	if n != 1 {
		t.Errorf("NALs = %d, want 1", n)
	}
}
