package fec

// Class is how much a block is worth. The zero value is an ordinary frame.
type Class uint8

const (
	Reference Class = iota // frames that others refer to
	Key                    // key frames with their parameter sets, in sub-blocks
	Audio                  // small and noticed at once
	Droppable              // nothing refers to it: resent while there is time, no parity
	classes
)

// Targets of the classes: the probability that a block is not complete at its deadline.
// research: a lost key frame costs the rest of its group of pictures, a lost reference half of it on average.
var classTarget = [classes]float64{
	Reference: 1e-4,
	Key:       1e-5 / 3, // a key frame may be several sub-blocks
	Audio:     1e-5,
	Droppable: 1e-2,
}

// Target is the probability that a block of this class may miss its deadline.
func (c Class) Target() float64 {
	if c >= classes {
		c = Reference
	}
	return classTarget[c]
}

var classNames = [classes]string{"reference", "key", "audio", "droppable"}

// String is a label for metrics.
func (c Class) String() string {
	if c >= classes {
		return "unknown"
	}
	return classNames[c]
}

// KeyBlock is the longest sub-block of a frame in packets: its parity is sent as soon as its packets are out. One block of 58 packets rather than two of 29:
// a repair mends either half, and no answer beyond what is missing of the first half delays the second. At 60/200, 20 % in bursts of 8, 6e-4 instead of
// 4.9e-3 of the frames are lost, at 50.7 instead of 51.5 %.
const KeyBlock = 96

// SubBlock is the length of the next sub-block of a frame of which left packets remain: equal parts of at most KeyBlock.
func SubBlock(left int) int {
	if left <= 0 {
		return 0
	}
	parts := (left + KeyBlock - 1) / KeyBlock
	return (left + parts - 1) / parts
}
