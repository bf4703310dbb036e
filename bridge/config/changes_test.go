package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every field has a word of the set, and every word a field.
func TestFieldsAreWords(t *testing.T) {
	var r Relay
	s := NewSet("relay")
	r.Bind(s)
	var words []string
	for f := range reflect.TypeFor[Relay]().Fields() {
		words = append(words, wordOf(f.Name))
	}
	for _, w := range s.words {
		if !slices.Contains(words, w) {
			t.Errorf("%s has no field", w)
		}
	}
	for _, w := range words {
		if !slices.Contains(s.words, w) {
			t.Errorf("a field says %s, which is no word", w)
		}
	}
}

func TestChangedTakeShown(t *testing.T) {
	a := Relay{Key: []string{"live/a", "live/b=s3cret"}, Push: []string{"live/a=rtmp://x/app/k3y|rtmps://y/app/k3y"}, AuthSecret: []string{"hidden secret"}, APIToken: "hidden token", Hold: time.Second}
	b := a
	b.Key, b.Hold, b.AuthPlay = []string{"live/a"}, 2*time.Second, true
	b.AuthSigned = []string{}
	if got := Changed(&a, &b); !slices.Equal(got, []string{"key", "auth-play", "hold"}) {
		t.Errorf("%q", got)
	}
	c := a
	Take(&c, &b, "key")
	Take(&c, &b, "auth-play")
	if got := Changed(&c, &b); !slices.Equal(got, []string{"hold"}) {
		t.Errorf("%q", got)
	}
	for word, v := range Shown(&a) {
		text := reflect.ValueOf(v).String()
		if list, ok := v.([]string); ok {
			text = strings.Join(list, " ")
		}
		for _, hidden := range []string{"s3cret", "k3y", "hidden"} {
			if strings.Contains(text, hidden) {
				t.Errorf("%s shows %s", word, text)
			}
		}
	}
}
