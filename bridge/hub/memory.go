package hub

import (
	"sync"

	"github.com/fairlead-live/fairlead/bridge/media"
)

// blocks are those that nobody holds, of all streams. The collector takes what two of its rounds have not needed.
var blocks [media.BlockClasses]sync.Pool

// NewArena returns memory for the frames of one publisher, which is used again once the hub and those who read have let go of it: the GOP cache
// and the queues hold what is in them, a subscriber with SubscriberInfo.Borrows what it has read last. All publishers share what is free.
func NewArena() *media.Arena {
	return media.NewArena(func(class int) *media.Block {
		if b, ok := blocks[class].Get().(*media.Block); ok {
			return b
		}
		return media.NewBlock(class, giveBack)
	})
}

func giveBack(b *media.Block) { blocks[b.Class()].Put(b) }

// hold and release are media.Frame's, of many.
func hold(frames []*media.Frame) {
	for _, f := range frames {
		f.Hold()
	}
}

func release(frames []*media.Frame) {
	for _, f := range frames {
		f.Release()
	}
}
