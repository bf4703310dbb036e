package auth

import (
	"slices"
	"strings"
	"time"
)

// vendors are the forms in use. Sources: the vendors' own pages on URL authentication; the vectors are in sign_test.go.
var vendors = []Template{
	{Name: "aliyun", Algorithm: "md5", Message: "{path}-{time}-{rand}-{uid}-{key}", Query: "auth_key={time}-{rand}-{uid}-{sig}", Base: 10, Encoding: "hex", Valid: 30 * time.Minute},
	{Name: "huawei-a", Algorithm: "md5", Message: "{path}-{time}-{rand}-{uid}-{key}", Query: "auth_key={time}-{rand}-{uid}-{sig}", Base: 10, Encoding: "hex", Valid: 30 * time.Minute},
	{Name: "tencent", Algorithm: "md5", Message: "{key}{stream}{time}", Query: "txSecret={sig}&txTime={time}", Base: 16, Upper: true, Encoding: "hex"},
	{Name: "tencent-sha256", Algorithm: "sha256", Message: "{key}{stream}{time}", Query: "txSecret={sig}&txTime={time}", Base: 16, Upper: true, Encoding: "hex"},
	{Name: "huawei-b", Algorithm: "md5", Message: "{key}{stream}{time}", Query: "txSecret={sig}&txTime={time}", Base: 16, Encoding: "hex"},
	{Name: "huawei-d", Algorithm: "hmac-sha256", Message: "{stream}{time}", Query: "hwSecret={sig}&hwTime={time}", Base: 16, Encoding: "hex"},
	{Name: "volcengine", Algorithm: "md5", Message: "{path}{key}{time}", Query: "volcTime={time}&volcSecret={sig}", Base: 10, Encoding: "hex"},
	{Name: "bokecc", Algorithm: "md5", Message: "{key}{path}{time}", Query: "sign={sig}&stTime={time}", Base: 10, Encoding: "hex", Valid: time.Hour, Early: true},
	{Name: "qiniu", Algorithm: "md5", Message: "{key}{path}{time}", Query: "sign={sig}&t={time}", Base: 16, Encoding: "hex"},
	{Name: "wangsu", Algorithm: "md5", Message: "{key}{path}{time}", Query: "wsSecret={sig}&wsTime={time}", Base: 16, Encoding: "hex"},
	{Name: "akamai", Algorithm: "hmac-sha256", Message: "exp={time}~acl={path}", Query: "hdnts=exp={time}~acl={path}~hmac={sig}", Base: 10, Encoding: "hex", KeyIsHex: true},
	{Name: "nginx", Algorithm: "md5", Message: "{time}{path}{ip} {key}", Query: "md5={sig}&expires={time}", Base: 10, Encoding: "base64url"},
}

// Vendor returns the template of this name.
func Vendor(name string) (*Template, bool) {
	i := slices.IndexFunc(vendors, func(t Template) bool { return t.Name == name })
	if i < 0 {
		return nil, false
	}
	t := vendors[i]
	if t.compile() != nil {
		return nil, false
	}
	return &t, true
}

// Vendors returns the names of all templates, for messages.
func Vendors() string {
	names := make([]string, len(vendors))
	for i := range vendors {
		names[i] = vendors[i].Name
	}
	return strings.Join(names, ", ")
}
