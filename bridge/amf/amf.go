// Package amf reads and writes AMF0 (Adobe "Action Message Format -- AMF 0", 2006), the encoding of RTMP commands
// and of FLV script data.
//
// A value is one marker byte and its contents:
//
//	0x00 number      float64 big-endian          0x07 reference   (refused: nobody sends it)
//	0x01 boolean     1 byte                      0x08 ECMA array  count32, then as object
//	0x02 string      length16, UTF-8             0x09 object end  (only after an empty key)
//	0x03 object      key16/value…, "" 0x09       0x0A strict array count32, values
//	0x05 null        0x06 undefined              0x0B date        float64 ms, int16 zone
//	0x0C long string length32, UTF-8             0x0F XML document as long string
//
// In Go they are float64, bool, string, Object, ECMAArray, StrictArray, nil, Undefined and time.Time.
package amf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// Markers of AMF0 §2.1.
const (
	markNumber      = 0x00
	markBoolean     = 0x01
	markString      = 0x02
	markObject      = 0x03
	markNull        = 0x05
	markUndefined   = 0x06
	markECMAArray   = 0x08
	markObjectEnd   = 0x09
	markStrictArray = 0x0a
	markDate        = 0x0b
	markLongString  = 0x0c
	markUnsupported = 0x0d
	markXML         = 0x0f
)

// Limits on what Decode accepts; ours: onMetaData of real encoders has under 40 properties and depth 3.
const (
	maxDepth  = 16
	maxValues = 4096
)

// ErrMalformed is wrapped by every decoding error.
var ErrMalformed = errors.New("amf: malformed value")

// Pair is one property.
type Pair struct {
	Key   string
	Value any
}

// Object is an anonymous object; the order of its properties is kept.
type Object []Pair

// ECMAArray is an associative array; the order of its properties is kept.
type ECMAArray []Pair

// StrictArray is an array of values.
type StrictArray []any

// Undefined is AMF's undefined.
type Undefined struct{}

// Get returns the value of a property, nil when absent.
func (o Object) Get(key string) any { return get(o, key) }

// Get returns the value of a property, nil when absent.
func (a ECMAArray) Get(key string) any { return get(a, key) }

func get(pairs []Pair, key string) any {
	for _, p := range pairs {
		if p.Key == key {
			return p.Value
		}
	}
	return nil
}

// Append appends values. Go integers are written as numbers; it panics on a type AMF0 has no form for,
// which is a bug of the caller.
func Append(dst []byte, values ...any) []byte {
	for _, v := range values {
		dst = appendValue(dst, v)
	}
	return dst
}

func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, markNull)
	case Undefined:
		return append(dst, markUndefined)
	case bool:
		if v {
			return append(dst, markBoolean, 1)
		}
		return append(dst, markBoolean, 0)
	case float64:
		return binary.BigEndian.AppendUint64(append(dst, markNumber), math.Float64bits(v))
	case int:
		return appendValue(dst, float64(v))
	case string:
		if len(v) > math.MaxUint16 {
			dst = binary.BigEndian.AppendUint32(append(dst, markLongString), uint32(len(v)))
			return append(dst, v...)
		}
		return appendKey(append(dst, markString), v)
	case Object:
		return appendPairs(append(dst, markObject), v)
	case ECMAArray:
		dst = binary.BigEndian.AppendUint32(append(dst, markECMAArray), uint32(len(v)))
		return appendPairs(dst, v)
	case StrictArray:
		dst = binary.BigEndian.AppendUint32(append(dst, markStrictArray), uint32(len(v)))
		return Append(dst, v...)
	case time.Time:
		dst = binary.BigEndian.AppendUint64(append(dst, markDate), math.Float64bits(float64(v.UnixMilli())))
		return append(dst, 0, 0) // "time-zone: reserved, should be set to 0" (§2.13)
	default:
		panic(fmt.Sprintf("amf: no form for %T", v))
	}
}

func appendKey(dst []byte, s string) []byte {
	s = s[:min(len(s), math.MaxUint16)]
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

func appendPairs(dst []byte, pairs []Pair) []byte {
	for _, p := range pairs {
		dst = appendValue(appendKey(dst, p.Key), p.Value)
	}
	return append(dst, 0, 0, markObjectEnd)
}

// Decode reads all values of b. On an error it returns those before it too, so that a lax reader can go on.
// Nesting deeper than 16 or more than 4096 values are errors. Strings are copies; nothing refers to b afterwards.
func Decode(b []byte) ([]any, error) {
	d := decoder{b: b}
	var out []any
	for len(d.b) > 0 {
		v, err := d.value(0)
		if err != nil {
			return out, err
		}
		out = append(out, v)
	}
	return out, nil
}

type decoder struct {
	b []byte
	n int // values so far
}

func (d *decoder) take(n int) ([]byte, error) {
	if n > len(d.b) {
		return nil, fmt.Errorf("%w: %d bytes wanted, %d left", ErrMalformed, n, len(d.b))
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out, nil
}

func (d *decoder) value(depth int) (any, error) {
	if d.n++; depth > maxDepth || d.n > maxValues {
		return nil, fmt.Errorf("%w: nested or long beyond reason", ErrMalformed)
	}
	mark, err := d.take(1)
	if err != nil {
		return nil, err
	}
	switch mark[0] {
	case markNumber:
		return d.number()
	case markBoolean:
		b, err := d.take(1)
		if err != nil {
			return nil, err
		}
		return b[0] != 0, nil
	case markString:
		return d.text(2)
	case markLongString, markXML:
		return d.text(4)
	case markObject:
		p, err := d.pairs(depth)
		return Object(p), err
	case markECMAArray:
		// "the count is approximate": the end marker decides (§2.10).
		if _, err := d.take(4); err != nil {
			return nil, err
		}
		p, err := d.pairs(depth)
		return ECMAArray(p), err
	case markStrictArray:
		return d.array(depth)
	case markDate:
		ms, err := d.number()
		if err != nil {
			return nil, err
		}
		if _, err := d.take(2); err != nil {
			return nil, err
		}
		if math.IsNaN(ms) || math.Abs(ms) > 1<<53 {
			return nil, fmt.Errorf("%w: date out of range", ErrMalformed)
		}
		return time.UnixMilli(int64(ms)).UTC(), nil
	case markNull:
		return nil, nil
	case markUndefined, markUnsupported:
		return Undefined{}, nil
	default:
		return nil, fmt.Errorf("%w: marker 0x%02x", ErrMalformed, mark[0])
	}
}

func (d *decoder) number() (float64, error) {
	b, err := d.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

func (d *decoder) text(lengthBytes int) (string, error) {
	l, err := d.take(lengthBytes)
	if err != nil {
		return "", err
	}
	n := 0
	for _, c := range l {
		n = n<<8 | int(c)
	}
	b, err := d.take(n)
	return string(b), err
}

func (d *decoder) array(depth int) (StrictArray, error) {
	l, err := d.take(4)
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(l)
	if uint64(n) > uint64(len(d.b)) { // each value is at least one byte
		return nil, fmt.Errorf("%w: array of %d in %d bytes", ErrMalformed, n, len(d.b))
	}
	out := StrictArray{}
	for range n {
		v, err := d.value(depth + 1)
		if err != nil {
			return out, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (d *decoder) pairs(depth int) ([]Pair, error) {
	out := []Pair{}
	for {
		key, err := d.text(2)
		if err != nil {
			return out, err
		}
		if key == "" && len(d.b) > 0 && d.b[0] == markObjectEnd {
			d.b = d.b[1:]
			return out, nil
		}
		v, err := d.value(depth + 1)
		if err != nil {
			return out, err
		}
		out = append(out, Pair{key, v})
	}
}
