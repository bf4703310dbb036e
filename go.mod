module github.com/fairlead-live/fairlead

go 1.26.0

require (
	github.com/bluenviron/mediacommon/v2 v2.9.4
	github.com/klauspost/reedsolomon v1.14.2
	golang.org/x/sys v0.49.0
)

require (
	github.com/asticode/go-astits v1.16.0
	github.com/goccy/go-yaml v1.19.2
)

require github.com/asticode/go-astikit v0.30.0 // indirect

require (
	github.com/benburkert/openpgp v0.0.0-20160410205803-c2471f86866c // indirect
	github.com/datarhei/gosrt v0.11.1-0.20260812091715-a77b40bb4b76
	github.com/klauspost/cpuid/v2 v2.3.0 // indirect
	golang.org/x/net v0.57.0 // indirect
)
