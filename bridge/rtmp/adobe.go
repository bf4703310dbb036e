package rtmp

import (
	"crypto/md5" // the scheme's choice, not ours
	"encoding/base64"
	"net/url"
	"strings"
)

// NextAuth takes a server's refusal of connect to the next step of Adobe authentication (authmod=adobe: Akamai, Wowza,
// gortmplib) and returns the query for ClientConfig.Auth of a new connection. The server says "need auth", then hands
// out a salt and a challenge, then takes the answer or not. ok is false when the refusal is not such a step.
//
// challenge: 8 random hexadecimal digits of our own.
func NextAuth(err *StatusError, user, password, challenge string) (query string, ok bool) {
	d := err.Description
	if user == "" || !strings.Contains(d, "authmod=adobe") || strings.Contains(d, "reason=authfailed") || strings.Contains(d, "reason=nosuchuser") {
		return "", false
	}
	base := "authmod=adobe&user=" + url.QueryEscape(user)
	_, params, found := strings.Cut(d, "?")
	if !found {
		return base, true
	}
	v := map[string]string{}
	for p := range strings.SplitSeq(strings.TrimSpace(params), "&") {
		key, value, _ := strings.Cut(p, "=")
		v[key] = strings.TrimSpace(value) // base64, never escaped
	}
	if v["reason"] != "needauth" {
		return "", false
	}
	theirs := v["challenge"]
	if v["opaque"] != "" {
		theirs = v["opaque"]
	}
	answer := md5Base64(md5Base64(user+v["salt"]+password) + theirs + challenge)
	query = base + "&challenge=" + challenge + "&response=" + answer
	if v["opaque"] != "" {
		query += "&opaque=" + v["opaque"]
	}
	return query, true
}

func md5Base64(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}
