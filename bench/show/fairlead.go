package show

import (
	"time"

	"github.com/fairlead-live/fairlead/bench/sim"
	"github.com/fairlead-live/fairlead/bridge/stutter"
	"github.com/fairlead-live/fairlead/congestion"
	"github.com/fairlead-live/fairlead/fec"
	"github.com/fairlead-live/fairlead/transport"
	"github.com/fairlead-live/fairlead/transport/session"
	"github.com/fairlead-live/fairlead/transport/srtp"
)

// Plans computes what package fec plans for a setting; it may keep them. Called from the goroutine of a run.
type Plans interface{ Plan(fec.Setting) *fec.Plan }

// Fairlead is the real session under the controller that make gives; nil: the one a publisher uses. change, if not nil, changes
// the configuration of both ends.
func Fairlead(name, about string, plans Plans, change func(*session.Config)) Scheme {
	return Scheme{Name: name, About: about, New: func(st *Stage) (Sender, error) {
		f := &fairlead{st: st, plans: plans}
		return f, f.connect(change)
	}}
}

type fairlead struct {
	st     *Stage
	plans  Plans
	tx     *session.Sender
	rx     *session.Receiver
	link   *sim.Link
	data   []byte
	target congestion.Bitrate
	say    time.Duration
	said   transport.Stats
	saidAt time.Time
}

// receiverNode lets the receiver see ECN marks.
type receiverNode struct{ *session.Receiver }

func (r receiverNode) HandleArrival(now time.Time, b []byte, a sim.Arrival) {
	ecn := uint8(0)
	if a.CE {
		ecn = 3
	}
	r.HandleECN(a.Time(now), b, ecn)
}

// senderNode lets the sender see when a report arrived.
type senderNode struct{ *session.Sender }

func (s senderNode) HandleArrival(now time.Time, b []byte, a sim.Arrival) {
	s.Sender.HandleArrival(now, a.Time(now), b)
}

// pathMTU is what QUIC's discovery finds within seconds on Ethernet's 1500 bytes, as the models of TCP have segments for: transport/quiclink.
const pathMTU = 1452

func (f *fairlead) connect(change func(*session.Config)) error {
	txc := session.Config{Latency: f.st.Latency, MTU: pathMTU}
	txc.Controller = congestion.New(congestion.Config{Max: 30 * congestion.Mbps})
	if change != nil {
		change(&txc)
	}
	rxc := txc
	var err error
	if txc.Seal, txc.Open, err = keys(1, 2); err != nil {
		return err
	}
	if rxc.Seal, rxc.Open, err = keys(2, 1); err != nil {
		return err
	}
	if f.tx, err = session.NewSender(sim.Epoch, txc); err != nil {
		return err
	}
	if f.rx, err = session.NewReceiver(sim.Epoch, rxc); err != nil {
		return err
	}
	f.data = make([]byte, 4<<20)
	f.link = f.st.Connect(f.st.Path, senderNode{f.tx}, f.st.receiver(receiverNode{f.rx}))
	f.st.look(f.facts)
	f.link.Stall(f.st.Stalls)
	f.link.A.OnWake = func(time.Time) {
		if setting, ok := f.tx.PlanWanted(); ok && f.plans != nil {
			f.tx.AddPlan(f.plans.Plan(setting))
		}
		rate, why, told := f.tx.Advice(f.st.Now())
		if told && rate != f.target {
			f.st.Trace("%8.3f target %d kbit/s, %v", f.st.Elapsed().Seconds(), rate/1000, why)
		}
		f.target = rate
	}
	f.link.B.OnWake = func(now time.Time) {
		if f.st.frozen() {
			return
		}
		for p, ok := f.rx.PopPayload(now); ok; p, ok = f.rx.PopPayload(now) {
			f.st.Deliver(Frame{Seq: p.PTS.Microseconds(), Audio: p.Codec.IsAudio(), Broken: p.Flags.Has(transport.Discontinuity)})
		}
	}
	return nil
}

// keys are for one end: what it seals with and what it opens with.
func keys(seal, open byte) (*srtp.Sealer, *srtp.Opener, error) {
	master := func(n byte) (k srtp.Keys) {
		for i := range k.Key {
			k.Key[i] = n + byte(i)
		}
		return k
	}
	s, err := srtp.NewSealer(master(seal))
	if err != nil {
		return nil, nil, err
	}
	o := srtp.NewOpener()
	return s, o, o.SetKeys(0, master(open))
}

// facts are what the relay knows; what the publisher says of itself comes once a second, over a stream that the same link carries.
func (f *fairlead) facts() stutter.Facts {
	if f.st.Elapsed() >= f.say {
		f.say = f.st.Elapsed() + time.Second
		said := f.tx.Stats()
		f.st.Send(120, func() { f.said, f.saidAt = said, f.st.Now() })
	}
	now, rx := f.st.Now(), f.rx.Stats()
	refused := uint64(0)
	for _, n := range f.said.FramesDropped {
		refused += n
	}
	return stutter.Facts{
		Numbered: true, Silent: max(0, min(f.rx.Silence(now), now.Sub(f.saidAt))), Latency: f.st.Latency, Received: rx.BytesReceived / 1200,
		Lost: f.rx.Missing(), Holes: rx.Late + rx.Lost, Refused: refused, Queue: f.rx.Queue(now),
	}
}

func (f *fairlead) Write(fr Frame) {
	t := transport.Frame{Codec: transport.H264, Capture: f.st.Now(), Data: f.data[:fr.Size]}
	t.PTS = time.Duration(fr.Seq) * time.Microsecond // a label: the deadline counts from Capture
	t.DTS = t.PTS
	switch {
	case fr.Audio:
		t.Codec, t.Track = transport.AAC, 1
	case fr.Key:
		t.Flags = transport.Key
	case fr.Droppable:
		t.Flags = transport.Droppable
	}
	f.link.A.Do(func() {
		t.Data = f.data[:fr.Size]
		_ = f.tx.WriteFrame(f.st.Now(), &t) // a frame that is refused is missing at the other end
	})
}

// Target is at least 1: that the sound alone takes more than there is does not leave the pictures as they are.
func (f *fairlead) Target() congestion.Bitrate {
	if f.target == 0 { // nothing was told yet
		return 0
	}
	return max(1, f.target-soundBitrate)
}

func (f *fairlead) KeyframeWanted() bool { return f.tx.KeyframeWanted() }

func (f *fairlead) Finish() Counts {
	s := transport.Combine(f.tx.Stats(), f.rx.Stats())
	if err := s.Check(); err != nil {
		f.st.Fault("%v", err)
	}
	f.st.Trace("%8.3f sent %d bytes in %d packets: %d of media, %d resends, %d repairs, %d probes", f.st.Elapsed().Seconds(), s.BytesSent, s.Datagrams, s.Sent, s.Resends, f.tx.Stats().Repairs, s.Probes)
	d := f.tx.Stats().FramesDropped
	return Counts{
		Droppable: int(d[transport.ClassDroppable]), Reference: int(d[transport.ClassReference]), Key: int(d[transport.ClassKey]),
		Audio: int(d[transport.ClassAudio]),
	}
}
