module github.com/fairlead-live/fairlead

go 1.26.0

require (
	github.com/bluenviron/mediacommon/v2 v2.9.4
	github.com/klauspost/reedsolomon v1.14.2
)

require (
	github.com/klauspost/cpuid/v2 v2.3.0 // indirect
	golang.org/x/sys v0.30.0 // indirect
)
