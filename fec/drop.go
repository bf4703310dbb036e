package fec

// DropReason says why a symbol handed to a Decoder was of no use. Kept is zero.
type DropReason uint8

const (
	Kept          DropReason = iota
	DropDuplicate            // source: known already, received or recovered
	DropOld                  // all or part of it lies before the decoder's window
	DropAhead                // repair: its range ends more than MaxCount after the newest symbol
	DropRange                // count, row or a sequence number outside what the format allows
	DropLength               // empty, longer than SymbolBytes, or shorter than a known symbol in its range
	DropNotNeeded            // repair: nothing in its range is missing
	DropDependent            // repair: says nothing that the equations at hand do not say
	DropConflict             // repair: contradicts them; one of the symbols is false
	DropFull                 // repair: the equations of younger symbols fill the memory
	dropReasons
)

// DropReasons is how many reasons there are; Stats.Dropped is indexed by them.
const DropReasons = int(dropReasons)

var dropNames = [...]string{
	"kept", "duplicate", "old", "ahead", "range", "length", "not-needed", "dependent", "conflict", "full",
}

// String is a label for metrics.
func (r DropReason) String() string {
	if int(r) < len(dropNames) {
		return dropNames[r]
	}
	return "unknown"
}

// DecoderStats counts what went into a Decoder and what became of it:
// Repairs = Recovered + Late + Corrupt + Abandoned + Decoder.Pending.
type DecoderStats struct {
	Sources, Repairs uint64              // symbols kept
	Dropped          [DropReasons]uint64 // symbols not kept, by reason; Dropped[Kept] is 0
	Recovered        uint64              // source symbols solved in time
	Late             uint64              // solved after Expire had passed them
	Corrupt          uint64              // solved, but the length or the padding was wrong
	Abandoned        uint64              // equations that left the window or gave way unsolved
}
