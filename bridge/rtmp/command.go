package rtmp

import (
	"github.com/fairlead-live/fairlead/bridge/amf"
)

// Command is a remote procedure call or its answer (RTMP 1.0 §7.2).
type Command struct {
	Name        string
	Transaction float64
	Args        []any // the command object first; may be empty
}

// ParseCommand reads a command message of type 20, or of type 17 whose first byte says that AMF0 follows. It is lax:
// a missing transaction id counts as 0, and values behind a malformed one are left out. ok is false without a name.
func ParseCommand(m Message) (c Command, ok bool) {
	b := m.Payload
	if m.Type == TypeCommandAMF3 && len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	values, _ := amf.Decode(b)
	if len(values) == 0 {
		return Command{}, false
	}
	if c.Name, ok = values[0].(string); !ok || c.Name == "" {
		return Command{}, false
	}
	values = values[1:]
	if len(values) > 0 {
		if c.Transaction, ok = values[0].(float64); ok {
			values = values[1:]
		}
	}
	c.Args = values
	return c, true
}

// AppendPayload appends c as the payload of a type 20 message.
func (c Command) AppendPayload(dst []byte) []byte {
	return amf.Append(amf.Append(dst, c.Name, c.Transaction), c.Args...)
}

// arg returns argument i, nil when there are not so many.
func (c Command) arg(i int) any {
	if i < len(c.Args) {
		return c.Args[i]
	}
	return nil
}

func (c Command) text(i int) string {
	s, _ := c.arg(i).(string)
	return s
}

func (c Command) number(i int) float64 {
	n, _ := c.arg(i).(float64)
	return n
}

// object returns the properties of argument i, which may be an object or an ECMA array.
func (c Command) object(i int) amf.Object { return toObject(c.arg(i)) }

func toObject(v any) amf.Object {
	switch v := v.(type) {
	case amf.Object:
		return v
	case amf.ECMAArray:
		return amf.Object(v)
	}
	return nil
}

func textOf(o amf.Object, key string) string {
	s, _ := o.Get(key).(string)
	return s
}

// isTrue holds for true and for numbers other than zero: both are in use for flags.
func isTrue(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case float64:
		return v != 0
	}
	return false
}

// MetadataPayload makes the payload of a data message from an FLV script tag's ("onMetaData", values): a publisher
// puts "@setDataFrame" in front of it. It appends to dst.
func MetadataPayload(dst, script []byte) []byte {
	return append(amf.Append(dst, "@setDataFrame"), script...)
}

// Script returns what of a data message is an FLV script tag: its payload without the "@setDataFrame" in front and,
// in a message of type 15, without the byte that says AMF0. It lends from m.
func Script(m Message) []byte {
	b := m.Payload
	if m.Type == TypeDataAMF3 && len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	prefix := "\x02\x00\x0d@setDataFrame"
	if len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix {
		b = b[len(prefix):]
	}
	return b
}
