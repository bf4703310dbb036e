package api

import (
	"encoding/xml"
	"net/http"
	"strings"
	"time"

	"github.com/fairlead-live/fairlead/bridge/hub"
)

// Other servers' statistics, with the fields that NOALBS's parsers require and the units they read.
//
// All of them say that a stream is offline by leaving it out, and so do we while a stream is held: the picture there is ours.

// slsPublisher is SRT Live Server's and OpenIRL's.
type slsPublisher struct {
	Bitrate       int64   `json:"bitrate"` // kbit/s
	BytesRcvDrop  uint64  `json:"bytesRcvDrop"`
	BytesRcvLoss  uint64  `json:"bytesRcvLoss"`
	MbpsBandwidth float64 `json:"mbpsBandwidth"`
	MbpsRecvRate  float64 `json:"mbpsRecvRate"`
	MsRcvBuf      int64   `json:"msRcvBuf"`
	PktRcvDrop    int32   `json:"pktRcvDrop"`
	PktRcvLoss    int32   `json:"pktRcvLoss"`
	RTT           float64 `json:"rtt"` // ms
	Uptime        int64   `json:"uptime"`
	Latency       int64   `json:"latency"` // ms
	Retransmitted uint64  `json:"pktRcvRetrans"`
	DroppedPkts   uint64  `json:"dropped_pkts"` // BELABOX cloud's word
}

// payloadSize turns packets into bytes where only packets are counted: 7 TS packets.
const payloadSize = 1316

func (s *Server) getSLS(w http.ResponseWriter, r *http.Request) {
	out := map[string]slsPublisher{}
	only := strings.TrimPrefix(r.URL.Query().Get("publisher"), "publish/")
	for _, st := range s.sorted() {
		if st.Publisher == nil || only != "" && st.Name != only {
			continue
		}
		v := s.view(&st)
		p := slsPublisher{Bitrate: v.BitrateBPS / 1000, MbpsRecvRate: float64(v.BitrateBPS) / 1e6, Uptime: int64(time.Since(st.Publisher.Since).Seconds())}
		if l := v.Publisher.Link; l != nil {
			p.BytesRcvDrop, p.BytesRcvLoss = l.Dropped*payloadSize, l.Lost*payloadSize
			p.PktRcvDrop, p.PktRcvLoss = int32(min(l.Dropped, 1<<31-1)), int32(min(l.Lost, 1<<31-1))
			p.RTT, p.Latency, p.MsRcvBuf, p.Retransmitted, p.DroppedPkts = l.RTTms, l.LatencyMS, l.LatencyMS, l.Retransmitted, l.Dropped
		}
		out["publish/"+st.Name] = p
	}
	answer(w, map[string]any{"status": "ok", "publishers": out})
}

// mtxPath is MediaMTX's.
type mtxPath struct {
	Name          string     `json:"name"`
	ConfName      string     `json:"confName"`
	Source        *mtxSource `json:"source"`
	Ready         bool       `json:"ready"`
	ReadyTime     *time.Time `json:"readyTime"`
	Tracks        []string   `json:"tracks"`
	BytesReceived uint64     `json:"bytesReceived"`
	BytesSent     uint64     `json:"bytesSent"`
	Readers       []struct{} `json:"readers"`
}

type mtxSource struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

func mtx(st *hub.StreamStats) mtxPath {
	p := mtxPath{Name: st.Name, ConfName: "all_others", Ready: true, Tracks: []string{}, BytesReceived: st.Counts.Bytes, Readers: []struct{}{}}
	kind := map[string]string{"srt": "srtConn", "rtmp": "rtmpConn", "quic": "srtConn"}[st.Publisher.Protocol] // ours has an RTT, too
	p.Source = &mtxSource{kind, st.Name}
	since := st.Publisher.Since.UTC()
	p.ReadyTime = &since
	for _, c := range st.Tracks {
		if c != nil {
			p.Tracks = append(p.Tracks, c.Codec.String())
		}
	}
	for i := range st.Subscribers {
		p.BytesSent += st.Subscribers[i].Counts.Bytes
	}
	return p
}

func (s *Server) getPaths(w http.ResponseWriter, _ *http.Request) {
	items := []mtxPath{}
	for _, st := range s.sorted() {
		if st.Publisher != nil {
			items = append(items, mtx(&st))
		}
	}
	answer(w, map[string]any{"itemCount": len(items), "pageCount": 1, "items": items})
}

func (s *Server) getPath(w http.ResponseWriter, r *http.Request) {
	st, ok := s.find(r.PathValue("name"))
	if !ok || st.Publisher == nil {
		refuse(w, http.StatusNotFound, "path not found")
		return
	}
	answer(w, mtx(st))
}

func (s *Server) getSRTConn(w http.ResponseWriter, r *http.Request) {
	st, ok := s.find(r.PathValue("name"))
	if !ok || st.Publisher == nil {
		refuse(w, http.StatusNotFound, "connection not found")
		return
	}
	v := s.view(st)
	l := v.Publisher.Link
	if l == nil {
		refuse(w, http.StatusNotFound, "connection not found")
		return
	}
	rate := float64(v.BitrateBPS) / 1e6
	lossRate := 0.0
	if l.Received+l.Lost > 0 {
		lossRate = 100 * float64(l.Lost) / float64(l.Received+l.Lost)
	}
	m := map[string]any{
		"id": st.Name, "created": st.Publisher.Since.UTC(), "remoteAddr": st.Publisher.Peer, "state": "publish", "path": st.Name, "query": "",
		"packetsReceived": l.Received, "packetsReceivedUnique": l.Received - min(l.Received, l.Retransmitted), "packetsReceivedLoss": l.Lost,
		"packetsReceivedRetrans": l.Retransmitted, "packetsReceivedDrop": l.Dropped, "bytesReceived": l.ReceivedBytes,
		"bytesReceivedUnique": st.Counts.Bytes, "bytesReceivedLoss": l.Lost * payloadSize, "bytesReceivedRetrans": l.Retransmitted * payloadSize,
		"bytesReceivedDrop": l.Dropped * payloadSize, "msRTT": l.RTTms, "mbpsReceiveRate": rate, "mbpsLinkCapacity": rate, "byteMSS": 1500,
		"msReceiveBuf": l.LatencyMS, "msReceiveTsbPdDelay": l.LatencyMS, "packetsReceivedLossRate": lossRate,
	}
	for _, name := range mtxZeros { // what a relay that only receives has none of
		m[name] = 0
	}
	answer(w, m)
}

var mtxZeros = []string{"packetsSent", "packetsSentUnique", "packetsSendLoss", "packetsRetrans", "packetsSentACK", "packetsReceivedACK", "packetsSentNAK",
	"packetsReceivedNAK", "packetsSentKM", "packetsReceivedKM", "usSndDuration", "packetsSendDrop", "packetsReceivedUndecrypt", "bytesSent", "bytesSentUnique",
	"bytesRetrans", "bytesSendDrop", "bytesReceivedUndecrypt", "usPacketsSendPeriod", "packetsFlowWindow", "packetsFlightSize", "mbpsSendRate",
	"bytesAvailSendBuf", "bytesAvailReceiveBuf", "mbpsMaxBW", "packetsSendBuf", "bytesSendBuf", "msSendBuf", "msSendTsbPdDelay", "packetsReceiveBuf",
	"bytesReceiveBuf", "packetsReorderTolerance", "packetsReceivedAvgBelatedTime", "packetsSendLossRate"}

// The shape of nginx-rtmp's statistics page.
type nginxRTMP struct {
	XMLName xml.Name    `xml:"rtmp"`
	Uptime  int64       `xml:"uptime"`
	Server  nginxServer `xml:"server"`
}

type nginxServer struct {
	Applications []*nginxApp `xml:"application"`
}

type nginxApp struct {
	Name string    `xml:"name"`
	Live nginxLive `xml:"live"`
}

type nginxLive struct {
	Streams []nginxStream `xml:"stream"`
	Clients int           `xml:"nclients"`
}

type nginxStream struct {
	Name     string    `xml:"name"`
	Time     int64     `xml:"time"` // ms
	In       int64     `xml:"bw_in"`
	BytesIn  uint64    `xml:"bytes_in"`
	BytesOut uint64    `xml:"bytes_out"`
	Audio    int64     `xml:"bw_audio"`
	Video    int64     `xml:"bw_video"`
	Meta     nginxMeta `xml:"meta"`
	Clients  int       `xml:"nclients"`
	Publish  struct{}  `xml:"publishing"`
	Active   struct{}  `xml:"active"`
}

type nginxMeta struct {
	Video nginxVideo `xml:"video"`
	Audio nginxAudio `xml:"audio"`
}

type nginxVideo struct {
	Width     int     `xml:"width"`
	Height    int     `xml:"height"`
	FrameRate float64 `xml:"frame_rate"`
	Codec     string  `xml:"codec"`
}

type nginxAudio struct {
	Codec      string `xml:"codec,omitempty"`
	Channels   int    `xml:"channels,omitempty"`
	SampleRate int    `xml:"sample_rate,omitempty"`
}

func (s *Server) getNginx(w http.ResponseWriter, _ *http.Request) {
	out := nginxRTMP{Uptime: int64(s.uptime())}
	apps := map[string]*nginxApp{}
	for _, st := range s.sorted() {
		if st.Publisher == nil {
			continue
		}
		i := strings.LastIndexByte(st.Name, '/')
		a := apps[st.Name[:i]]
		if a == nil {
			a = &nginxApp{Name: st.Name[:i]}
			apps[a.Name] = a
			out.Server.Applications = append(out.Server.Applications, a)
		}
		v := s.view(&st)
		n := nginxStream{Name: st.Name[i+1:], Time: time.Since(st.Publisher.Since).Milliseconds(), In: v.BitrateBPS, Video: v.BitrateBPS, BytesIn: v.Bytes,
			Clients: 1 + len(st.Subscribers)}
		for j := range st.Subscribers {
			n.BytesOut += st.Subscribers[j].Counts.Bytes
		}
		for _, t := range v.Tracks {
			if t.Width > 0 {
				n.Meta.Video = nginxVideo{t.Width, t.Height, t.FrameRate, t.Codec}
			} else {
				n.Meta.Audio = nginxAudio{t.Codec, t.Channels, t.SampleRate}
			}
		}
		a.Live.Streams = append(a.Live.Streams, n)
		a.Live.Clients += n.Clients
	}
	w.Header().Set("Content-Type", "text/xml")
	_, _ = w.Write([]byte(xml.Header))
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	_ = e.Encode(out)
}
