package seq

import "testing"

func TestUnwrap16(t *testing.T) {
	for _, c := range []struct {
		why  string
		near int64
		s    uint16
		want int64
	}{
		{"start", 0, 0, 0},
		{"forward", 10, 12, 12},
		{"backward", 10, 8, 8},
		{"over the wrap", 65535, 0, 65536},
		{"back over the wrap", 65536, 65535, 65535},
		{"before zero", 0, 65535, -1},
		{"third lap", 3*65536 + 5, 4, 3*65536 + 4},
		{"as far ahead as it goes", 100, 100 + 32767, 100 + 32767},
		{"half the circle counts as behind", 100, 100 + 32768, 100 - 32768},
	} {
		if got := Unwrap16(c.near, c.s); got != c.want {
			t.Errorf("%s: Unwrap16(%d, %d) = %d, want %d", c.why, c.near, c.s, got, c.want)
		}
	}
}

func TestUnwrap32(t *testing.T) {
	near := int64(1)<<32 - 1
	if got := Unwrap32(near, 0); got != 1<<32 {
		t.Errorf("got %d, want %d", got, int64(1)<<32)
	}
	if got := Unwrap32(1<<32, 0xffffffff); got != near {
		t.Errorf("got %d, want %d", got, near)
	}
}

func TestOrder(t *testing.T) {
	if !Less16(65535, 0) || Less16(0, 65535) || Less16(7, 7) {
		t.Error("Less16 is wrong around the wrap")
	}
	if !Less32(1<<32-1, 0) || Less32(0, 1<<32-1) {
		t.Error("Less32 is wrong around the wrap")
	}
	if Distance16(65530, 4) != 10 || Distance16(4, 65530) != -10 || Distance32(1<<32-1, 1) != 2 {
		t.Error("distances are wrong around the wrap")
	}
}

// A lap counted one step at a time equals the number itself.
func TestUnwrapWalk(t *testing.T) {
	var near int64
	for n := int64(0); n < 400000; n += 37 {
		near = Unwrap16(near, uint16(n))
		if near != n {
			t.Fatalf("got %d, want %d", near, n)
		}
	}
}
