package media

import (
	"testing"
	"time"
)

func TestTicksSurviveTheRoundTrip(t *testing.T) {
	for _, v := range []int64{0, 1, 2, 3, 3003, 3750, 89999, 90000, 90001, 1<<33 - 1, 1 << 40, -1, -3003, -90001} {
		if got := Ticks(FromTicks(v)); got != v {
			t.Errorf("Ticks(FromTicks(%d)) = %d", v, got)
		}
	}
	if got, want := FromTicks(3003), 33366667*time.Nanosecond; got != want {
		t.Errorf("FromTicks(3003) = %v, want %v", got, want)
	}
}
