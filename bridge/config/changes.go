package config

import (
	"reflect"
	"strings"
	"time"
	"unicode"
)

// wordOf turns a field's name into its word: SRTLatency is srt-latency.
func wordOf(field string) string {
	var b strings.Builder
	r := []rune(field)
	for i, c := range r {
		if i > 0 && unicode.IsUpper(c) && (unicode.IsLower(r[i-1]) || i+1 < len(r) && unicode.IsLower(r[i+1])) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

// Changed returns the words whose values differ, in the order of the fields.
func Changed(a, b *Relay) (words []string) {
	va, vb := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range va.NumField() {
		x, y := va.Field(i), vb.Field(i)
		if x.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0 || reflect.DeepEqual(x.Interface(), y.Interface()) {
			continue
		}
		words = append(words, wordOf(va.Type().Field(i).Name))
	}
	return words
}

// Take copies the value of one word.
func Take(dst, src *Relay, word string) {
	d, s := reflect.ValueOf(dst).Elem(), reflect.ValueOf(src).Elem()
	for i := range d.NumField() {
		if wordOf(d.Type().Field(i).Name) == word {
			d.Field(i).Set(s.Field(i))
		}
	}
}

// secret words are shown as set or not.
var secret = map[string]bool{"auth-secret": true, "auth-jwt-secret": true, "auth-signed": true, "srt-passphrase": true, "api-token": true, "webhook": true, "webhook-secret": true}

// masked stands for a secret that is set.
const masked = "***"

// Shown returns every word and its value for people to see: secrets, keys' secrets and what stands behind a destination's
// last slash are masked.
func Shown(r *Relay) map[string]any {
	out := map[string]any{}
	v := reflect.ValueOf(r).Elem()
	for i := range v.NumField() {
		word := wordOf(v.Type().Field(i).Name)
		switch x := v.Field(i).Interface().(type) {
		case time.Duration:
			out[word] = x.String()
		case string:
			if secret[word] && x != "" {
				x = masked
			}
			out[word] = x
		case []string:
			list := make([]string, len(x))
			for i, s := range x {
				list[i] = shownItem(word, s)
			}
			out[word] = list
		default:
			out[word] = x
		}
	}
	return out
}

func shownItem(word, s string) string {
	switch {
	case secret[word]:
		return masked
	case word == "key":
		if name, _, has := strings.Cut(s, "="); has {
			return name + "=" + masked
		}
	case word == "push":
		name, urls, _ := strings.Cut(s, "=")
		parts := strings.Split(urls, "|")
		for i, u := range parts {
			u, _, _ = strings.Cut(u, "#") // the key of a signature
			if j := strings.LastIndexByte(u, '/'); j >= 0 {
				parts[i] = u[:j+1] + masked
			}
		}
		return name + "=" + strings.Join(parts, "|")
	}
	return s
}
