package show

import (
	"time"

	"github.com/fairlead-live/fairlead/bench/cc"
	"github.com/fairlead-live/fairlead/bench/encoder"
	"github.com/fairlead-live/fairlead/congestion"
)

// RTMP is FLV over a model of TCP: nothing is dropped, everything is late. With obs the encoder follows OBS's dynamic bitrate. Where most is not 0 a picture that
// has waited so long for the socket is dropped, with all up to the next key frame, as OBS does after 0.7 to 0.9 s.
func RTMP(name, about string, kind cc.Kind, obs bool, most time.Duration) Scheme {
	return Scheme{Name: name, About: about, New: func(st *Stage) (Sender, error) {
		r := &rtmp{st: st, tcp: newTCP(st, cc.NewLaw(kind)), most: most}
		if obs {
			rate := st.Encoder.Rate
			if rate == 0 {
				rate = 4 * congestion.Mbps
			}
			r.obs = encoder.NewOBS(int(rate/congestion.Kbps), int(soundBitrate/congestion.Kbps))
		}
		r.tcp.onTaken = r.feed
		r.tcp.onData = r.arrive
		return r, nil
	}}
}

type rtmp struct {
	st    *Stage
	tcp   *tcp
	obs   *encoder.OBS  // nil: the encoder is told nothing
	queue []message     // what the socket has not taken, oldest first
	under []message     // taken, not arrived
	end   int64         // offset behind the newest message that was taken
	most  time.Duration // 0: a picture waits for as long as it takes
	cut   bool          // pictures are dropped up to the next key frame
}

type message struct {
	Frame
	left  int   // bytes the socket has not taken
	end   int64 // offset behind it
	begin time.Duration
	size  int
}

// An RTMP message's header, the FLV tag's first bytes, and one byte for each further chunk of 4096: RTMP 1.0 §5.3, FLV Annex E.
func messageBytes(n int) int { return n + 12 + 5 + n/4096 }

func (r *rtmp) Write(f Frame) {
	if r.obs != nil && !f.Audio {
		r.judge(f.Capture)
	}
	n := messageBytes(f.Size)
	r.queue = append(r.queue, message{Frame: f, left: n, size: n, begin: -1})
	r.feed()
}

// judge is check_to_drop_frames: how much waits, from the first picture that is no key frame to the newest.
func (r *rtmp) judge(now time.Duration) {
	first, newest, have := time.Duration(0), time.Duration(0), false
	for _, m := range r.queue {
		if !m.Audio && !m.Key && !have {
			first, have = m.Capture, true
		}
		newest = m.Capture
	}
	r.obs.Video(now, len(r.queue), newest-first, have)
}

// feed gives the socket what it takes.
func (r *rtmp) feed() {
	for len(r.queue) > 0 {
		m := &r.queue[0]
		if r.stale(m) {
			r.queue = r.queue[1:]
			continue
		}
		room := r.tcp.room()
		if room <= 0 {
			return
		}
		if m.begin < 0 {
			m.begin = r.st.Elapsed()
		}
		n := min(room, m.left)
		m.left -= n
		r.end += int64(n)
		if m.left == 0 {
			m.end = r.end
			if r.obs != nil {
				r.obs.Sent(m.begin, r.st.Elapsed(), m.size)
			}
			r.under = append(r.under, *m)
			r.queue = r.queue[1:]
		}
		r.tcp.taken += int64(n)
	}
	hook := r.tcp.onTaken // it would come back here
	r.tcp.onTaken = nil
	r.tcp.pump()
	r.tcp.onTaken = hook
}

// stale reports whether m is dropped, for it has waited too long or refers to what did.
func (r *rtmp) stale(m *message) bool {
	if r.most == 0 || m.Audio || m.left < m.size {
		return false
	}
	if r.st.Elapsed()-m.Capture > r.most {
		r.cut = true
	} else if m.Key {
		r.cut = false
	}
	return r.cut
}

func (r *rtmp) arrive(upTo int64) {
	for len(r.under) > 0 && r.under[0].end <= upTo {
		r.st.Deliver(r.under[0].Frame)
		r.under = r.under[1:]
	}
}

func (r *rtmp) Target() congestion.Bitrate {
	if r.obs == nil {
		return 0
	}
	return congestion.Bitrate(r.obs.Bitrate()) * congestion.Kbps
}

func (r *rtmp) KeyframeWanted() bool { return false }
func (r *rtmp) Finish() Counts       { return Counts{} }
