package filter

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// captured is a data or control packet that srt-live-transmit 1.5.1 sent.
type captured struct {
	Packet
	control bool
	kk      uint8
}

// load reads testdata/name.hex: the caller's conclusion, then every packet: header, length of the payload, payload without its zeros
// at the end.
func load(t *testing.T, name string) (packets []captured) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	var isn uint32
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		var n int
		_, _ = fmt.Sscan(f[1], &n)
		h, _ := hex.DecodeString(f[0])
		body := make([]byte, n)
		if len(f) > 2 {
			b, _ := hex.DecodeString(f[2])
			copy(body, b)
		}
		if h[0]&0x80 != 0 {
			isn = binary.BigEndian.Uint32(body[8:])
			continue
		}
		w1 := binary.BigEndian.Uint32(h[4:])
		packets = append(packets, captured{
			Packet:  Packet{Index: int64(binary.BigEndian.Uint32(h) - isn), Timestamp: binary.BigEndian.Uint32(h[8:]), Key: uint8(w1 >> 27 & 3), Payload: body},
			control: w1&(1<<26-1) == 0, kk: uint8(w1 >> 27 & 3),
		})
	}
	return packets
}

// captures are of rows 1, N and -N, even and staircase, clear and AES-CTR. (A row alone has no layout.) TestCapture of srtlink makes them.
var captures = []struct{ name, config string }{
	{"even-5x4", "fec,cols:5,rows:4,layout:even"},
	{"staircase-6x4", "fec,cols:6,rows:4,layout:staircase"},
	{"row-5", "fec,cols:5,rows:1"},
	{"cols-5x3", "fec,cols:5,rows:-3"},
	{"cols-even-5x3", "fec,cols:5,rows:-3,layout:even"},
	{"ctr-5x3", "fec,cols:5,rows:3"},
	{"ctr-row-5", "fec,cols:5,rows:1"},
	{"ctr-even-5x4", "fec,cols:5,rows:4,layout:even"},
	{"ctr-cols-5x3", "fec,cols:5,rows:-3"},
	{"ctr-cols-even-5x3", "fec,cols:5,rows:-3,layout:even"},
}

// Each control packet of libsrt is ours, byte for byte and in the same place.
func TestSenderIsLibsrt(t *testing.T) {
	for _, c := range captures {
		cfg, err := Parse(c.config)
		if err != nil {
			t.Fatal(err)
		}
		s := NewSender(cfg, 1452)
		controls := 0
		for _, p := range load(t, c.name) {
			if !p.control {
				s.Data(&p.Packet)
				continue
			}
			controls++
			got, ok := s.Next()
			if !ok || got.Index != p.Index || got.Timestamp != p.Timestamp || !bytes.Equal(got.Body, p.Payload) {
				t.Errorf("%s: control packet %d: got index %d, %x…, want %d, %x…", c.name, controls, got.Index, got.Body[:min(40, len(got.Body))], p.Index, p.Payload[:40])
			}
		}
		if extra, ok := s.Next(); ok || controls < 10 {
			t.Errorf("%s: %d control packets, then %+v", c.name, controls, extra)
		}
	}
}

// Every single lost packet of the captures that is in a whole group is rebuilt as it was.
func TestRebuildsWhatLibsrtSent(t *testing.T) {
	for _, c := range captures {
		cfg, _ := Parse(c.config)
		packets := load(t, c.name)
		rebuilt, data := 0, 0
		for i, lost := range packets {
			if lost.control || testing.Short() && i%8 != 0 {
				continue
			}
			data++
			r := NewReceiver(cfg)
			for j := range packets {
				p := &packets[j]
				switch {
				case j == i:
				case p.control:
					if !r.Control(p.Index, p.Timestamp, p.Payload) {
						t.Fatalf("%s: control packet %d refused", c.name, j)
					}
				default:
					r.Data(&p.Packet)
				}
				for got, ok := r.Next(); ok; got, ok = r.Next() {
					rebuilt++
					if got.Index != lost.Index || got.Timestamp != lost.Timestamp || got.Key != lost.Key || !bytes.Equal(got.Payload, lost.Payload) {
						t.Fatalf("%s: got %+v, want %+v", c.name, got, lost)
					}
					r.Data(&got)
				}
			}
		}
		t.Logf("%s: %d of %d", c.name, rebuilt, data)
		if rebuilt < data*2/3 {
			t.Errorf("%s: %d of %d rebuilt", c.name, rebuilt, data)
		}
	}
}

func TestBasesOfColumns(t *testing.T) {
	for _, c := range []struct {
		config string
		want   []int64
	}{
		{"fec,cols:6,rows:4", []int64{0, 7, 14, 21, 4, 11}}, // captured: srt.md 1.3
		{"fec,cols:5,rows:-3", []int64{0, 6, 12, 3, 9}},
		{"fec,cols:3,rows:4,layout:even", []int64{0, 1, 2}},
	} {
		cfg, err := Parse(c.config)
		var got []int64
		for col := range cfg.Cols {
			got = append(got, cfg.base(col))
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.config, got, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"fec,cols:5,rows:4,layout:even": "fec,arq:onreq,cols:5,layout:even,rows:4",
		"fec,cols:10":                   "fec,arq:onreq,cols:10,layout:staircase,rows:1",
		"fec,cols:8,rows:-4,arq:never":  "fec,arq:never,cols:8,layout:staircase,rows:-4",
		"fec":                           "", "fec,cols:1": "", "fec,cols:5,rows:0": "", "fec,cols:5,x:y": "", "other": "", "fec,cols:200": "", "fec,cols:5,arq:maybe": "",
	} {
		got, err := Parse(in)
		if want == "" {
			if !errors.Is(err, ErrConfig) {
				t.Errorf("%q: got %v, %v", in, got, err)
			}
			continue
		}
		if err != nil || got.String() != want {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
}

// Residual loss is that of the study's table (srt.md 1.3: 10×5 staircase, 5 % iid: 0.048 %; row 10, 5 %: 2.03 %).
func TestResidual(t *testing.T) {
	for _, c := range []struct {
		config   string
		loss     float64
		from, to float64
	}{{"fec,cols:10,rows:5", 0.05, 0.0001, 0.0010}, {"fec,cols:10,rows:1", 0.05, 0.016, 0.025}, {"fec,cols:5,rows:4", 0.05, 0, 0.0006}} {
		cfg, _ := Parse(c.config)
		rng := rand.New(rand.NewPCG(1, 2))
		s, r := NewSender(cfg, 100), NewReceiver(cfg)
		const n = 20_000
		have := make([]bool, n)
		payload := make([]byte, 100)
		take := func() {
			for got, ok := r.Next(); ok; got, ok = r.Next() {
				if have[got.Index] || binary.BigEndian.Uint32(got.Payload) != uint32(got.Index) {
					t.Fatalf("%s: rebuilt %d wrongly", c.config, got.Index)
				}
				have[got.Index] = true
				r.Data(&got)
			}
		}
		for i := range int64(n) {
			binary.BigEndian.PutUint32(payload, uint32(i))
			p := Packet{Index: i, Timestamp: rng.Uint32(), Key: uint8(i >> 8 & 1), Payload: payload[:20+rng.IntN(80)]}
			s.Data(&p)
			if rng.Float64() >= c.loss {
				have[i] = true
				r.Data(&p)
			}
			for k, ok := s.Next(); ok; k, ok = s.Next() {
				if rng.Float64() >= c.loss {
					r.Control(k.Index, k.Timestamp, k.Body)
				}
			}
			take()
		}
		lost := 0
		for _, h := range have {
			if !h {
				lost++
			}
		}
		if ratio := float64(lost) / n; ratio < c.from || ratio > c.to {
			t.Errorf("%s: %.4f %% left, want %.4f to %.4f", c.config, 100*ratio, 100*c.from, 100*c.to)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	cfg, _ := Parse("fec,cols:5,rows:4")
	r := NewReceiver(cfg)
	payload := make([]byte, 1316)
	i := int64(0)
	feed := func() {
		if i++; i%7 != 0 {
			r.Data(&Packet{Index: i, Payload: payload})
		}
		if i%5 == 4 {
			payload[0] = 0xFF
			r.Control(i, 0, payload)
		}
		for _, ok := r.Next(); ok; _, ok = r.Next() {
		}
	}
	for range 1000 {
		feed()
	}
	if a := testing.AllocsPerRun(1000, feed); a != 0 {
		t.Errorf("%v allocations a packet", a)
	}
}

func FuzzReceiver(f *testing.F) {
	f.Add("fec,cols:5,rows:4", []byte("\x00\x00\x00\x01\x02\x03\x04\x05\x00\x00\x00\x05\x00\x00\x04\xff\x00\x00\x04\xff"))
	f.Add("fec,cols:2,rows:-2,layout:even", []byte("abcdefgh\x01\x02\x03\x04"))
	f.Add("fec,cols:127,rows:127", []byte{0, 0, 0, 1, 0xFF, 0xFF, 0, 9, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, config string, b []byte) {
		cfg, err := Parse(config)
		if err != nil {
			return
		}
		r := NewReceiver(cfg)
		for ; len(b) >= 4; b = b[4:] {
			index := int64(binary.BigEndian.Uint16(b[1:]))
			if b[0]&1 == 0 {
				r.Data(&Packet{Index: index, Key: b[0] >> 1 & 3, Timestamp: uint32(b[3]), Payload: b[:min(len(b), 8)]})
			} else {
				r.Control(index, uint32(b[0]), b[3:])
			}
			for n := 0; ; n++ {
				p, ok := r.Next()
				if !ok {
					break
				}
				if p.Index < 0 || len(p.Payload) == 0 || n > 1000 {
					t.Fatalf("%+v", p)
				}
				r.Data(&p)
			}
		}
	})
}
