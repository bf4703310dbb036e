// Package filter is the packet filter "fec" of SRT: parity over rows and columns of packets, as libsrt makes it
// (docs/features/packet-filtering-and-fec.md; where that and the wire differ, the wire holds).
//
// Packets are counted from the direction's initial sequence number: index = number - ISN. Row k holds the indices
// k·Cols … k·Cols+Cols-1. Column c starts at base(c), which is c in the even layout; in the staircase each column starts
// one row below the one before, and back at the top after Rows columns. Group m of column c holds base(c) + m·Cols·Rows + j·Cols
// for j = 0 … Rows-1. Packets before base(c) are in no group of column c.
//
// A control packet is a data packet with message number 0, the sequence number of its group's last packet, and as timestamp
// the XOR of the timestamps. Its payload:
//
//	+--------------+--------------+-----------------------------+----- - - -
//	| column, or   | XOR of KK    | XOR of the payload lengths  | XOR of the payloads,
//	| 0xFF: a row  |              |                             | padded with zeros
//	+--------------+--------------+-----------------------------+----- - - -
//
// Everything is over what is on the wire: ciphertext, with the tag of AES-GCM.
//
// Memory: a Receiver keeps at most 4·Cols columns and max(4·Rows, 16) rows of 1.5 KB: 90 KB at 10×5, 1.5 MB at most.
//
// What it leaves to others: sequence numbers, decryption, when to ask for what is missing (package srt).
package filter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrConfig is in the chain of every error of Parse.
var ErrConfig = errors.New("srt: bad packet filter")

// ARQ says when a receiver asks for what is missing.
type ARQ uint8

// Modes.
const (
	OnRequest ARQ = iota // what parity could not bring back; the default
	Always
	Never
)

var arqNames = []string{"onreq", "always", "never"}

func (a ARQ) String() string { return arqNames[a] }

// Config is a filter's shape. Rows: 1 is rows only, 2 and more rows and columns, -2 and less columns only.
type Config struct {
	Cols, Rows int
	Even       bool // layout; the default is staircase
	ARQ        ARQ
}

// MaxSize bounds Cols and Rows: the column stands in a signed byte of which -1 is a row.
const MaxSize = 127

// Parse reads "fec,cols:C[,rows:R][,layout:even|staircase][,arq:never|onreq|always]".
func Parse(s string) (Config, error) {
	c := Config{Rows: 1}
	parts := strings.Split(s, ",")
	if parts[0] != "fec" {
		return c, fmt.Errorf("%w: type %q", ErrConfig, parts[0])
	}
	for _, p := range parts[1:] {
		k, v, _ := strings.Cut(p, ":")
		var err error
		switch k {
		case "cols":
			c.Cols, err = strconv.Atoi(v)
		case "rows":
			c.Rows, err = strconv.Atoi(v)
		case "layout":
			if c.Even = v == "even"; !c.Even && v != "staircase" {
				err = strconv.ErrSyntax
			}
		case "arq":
			err = strconv.ErrSyntax
			for i, name := range arqNames {
				if v == name {
					c.ARQ, err = ARQ(i), nil
				}
			}
		default:
			err = strconv.ErrSyntax
		}
		if err != nil {
			return c, fmt.Errorf("%w: %q", ErrConfig, p)
		}
	}
	if c.Cols < 2 || c.Cols > MaxSize || c.Rows == 0 || c.Rows == -1 || c.Rows > MaxSize || c.Rows < -MaxSize {
		return c, fmt.Errorf("%w: cols %d, rows %d", ErrConfig, c.Cols, c.Rows)
	}
	return c, nil
}

// String is the form a listener answers with: every key, in alphabetical order.
func (c Config) String() string {
	layout := "staircase"
	if c.Even {
		layout = "even"
	}
	return fmt.Sprintf("fec,arq:%v,cols:%d,layout:%s,rows:%d", c.ARQ, c.Cols, layout, c.Rows)
}

func (c *Config) hasRows() bool { return c.Rows >= 1 }
func (c *Config) hasCols() bool { return c.Rows >= 2 || c.Rows <= -2 }

// height is how many packets a column's group has.
func (c *Config) height() int { return max(c.Rows, -c.Rows) }

// base is the first index of a column.
func (c *Config) base(col int) int64 {
	if c.Even {
		return int64(col)
	}
	return int64(col) + int64(col%c.height())*int64(c.Cols)
}

// place says which group of its column an index is in, and where; false: in none.
func (c *Config) place(index int64) (col int, group int64, at int, ok bool) {
	col = int(index % int64(c.Cols))
	i := index - c.base(col)
	if i < 0 {
		return col, 0, 0, false
	}
	span := int64(c.Cols * c.height())
	return col, i / span, int(i % span / int64(c.Cols)), true
}

// last is the last index of the groups that index is in: when that has passed, parity has come or is lost.
func (c *Config) last(index int64) int64 {
	end := index
	if c.hasRows() {
		end = index - index%int64(c.Cols) + int64(c.Cols) - 1
	}
	if c.hasCols() {
		if col, group, _, ok := c.place(index); ok {
			end = max(end, c.base(col)+group*int64(c.Cols*c.height())+int64((c.height()-1)*c.Cols))
		}
	}
	return end
}

// Closed reports whether nothing more can be expected of parity for an index when high is the highest that has come.
func (c *Config) Closed(index, high int64) bool { return high > c.last(index) }
