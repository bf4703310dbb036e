package mpegts

// DropReason says why something did not become a frame.
type DropReason uint8

// Reasons. The first group counts transport packets, the second sections, the third access units
// (a PES packet of video that came to nothing, or one audio frame).
const (
	dropNone DropReason = iota

	DropTransportError // packet: transport_error_indicator is set
	DropNull           // packet: stuffing of a constant-rate multiplex
	DropUnknownPID     // packet: of no stream we follow
	DropScrambled      // packet: encrypted
	DropBadHeader      // packet: header or adaptation field contradicts itself
	DropDuplicate      // packet: sent twice, which is allowed
	DropNoStart        // packet: continues a PES packet or section whose start is missing

	DropBadSection // section: CRC, length or contents are wrong

	DropDamaged     // unit: packets of it are missing
	DropTruncated   // unit: the stream ended before its header says
	DropOversize    // unit: larger than Config.MaxAccessUnit, or more than 8192 NAL units
	DropBadPES      // unit: no PES header
	DropEncrypted   // unit: PES_scrambling_control is set
	DropNoTimestamp // unit: no time, and none can be derived
	DropNoConfig    // unit: before the first usable parameter sets
	DropNoPicture   // unit: no slice inside
	DropBadAudio    // unit: not a frame of the codec that the PMT names
	DropUnsupported // unit: valid, but of a kind we do not carry
	DropBacklog     // unit: too many frames wait for Next

	numDropReasons
)

var dropNames = [...]string{
	"none", "transport_error", "null_packet", "unknown_pid", "scrambled", "bad_header", "duplicate", "no_start",
	"bad_section",
	"damaged", "truncated", "oversize", "bad_pes", "encrypted", "no_timestamp", "no_config", "no_picture", "bad_audio", "unsupported", "backlog",
}

// String returns the reason as it stands in metrics.
func (r DropReason) String() string {
	if int(r) < len(dropNames) {
		return dropNames[r]
	}
	return "unknown"
}

// IsPacket reports whether r counts transport packets.
func (r DropReason) IsPacket() bool { return r >= DropTransportError && r <= DropNoStart }

// IsUnit reports whether r counts access units.
func (r DropReason) IsUnit() bool { return r >= DropDamaged && r < numDropReasons }

// DropReasons lists every reason, for tables of metrics.
func DropReasons() []DropReason {
	out := make([]DropReason, 0, numDropReasons-1)
	for r := dropNone + 1; r < numDropReasons; r++ {
		out = append(out, r)
	}
	return out
}

// Drops counts by reason: Drops[DropDamaged].
type Drops [numDropReasons]uint64

// Stats is a snapshot of a Demuxer's counters, all since its start unless said otherwise.
//
// Nothing vanishes: Bytes = 188·Packets + SkippedBytes + PendingBytes, Packets = Used + the packet
// reasons of Drops, and Units = Frames + the unit reasons of Drops.
type Stats struct {
	Bytes        uint64 // written
	Packets      uint64 // transport packets
	Used         uint64 // of them handed to a section or PES packet, or with nothing but a clock
	SkippedBytes uint64 // outside packets, while sync was lost
	PendingBytes int    // now: of a packet that is not whole yet
	Units        uint64 // access units that ended, well or not
	Frames       uint64 // access units that became frames
	Drops        Drops

	SyncLosses      uint64 // times sync was lost
	Discontinuities uint64 // gaps in a continuity counter of a followed PID
	TimeJumps       uint64 // frames whose DTS is over 10 s after or 1 s before the last of their track
	Untimed         uint64 // frames whose time was derived because the PES packet had none
	ShortPES        uint64 // PES packets shorter than their header says though no packet is missing; they are used
	ProgramChanges  uint64 // PMTs that changed the set of streams, the first included
	Programs        int    // now: in the PAT section that came last
	IgnoredStreams  int    // now: elementary streams in the PMT that we do not carry

	// How pictures (video PES packets) were ended. Early and ByLength cost no wait, ByNext one frame time.
	Early    uint64 // at the stuffing of the last packet
	ByLength uint64 // by the length in the PES header
	ByNext   uint64 // by the next PES packet, Flush or a new PMT
	Glued    uint64 // delivered too early: the PES packet went on. See Config.EarlyAfter
	EarlyOff uint64 // streams for which the early end was switched off
}
