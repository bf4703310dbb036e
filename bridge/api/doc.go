// Package api is the operator's view of a relay over HTTP: JSON under /v1, metrics for Prometheus, and the statistics of
// other servers in the shapes their tools read.
//
//	GET    /v1/streams                               every stream
//	GET    /v1/streams/{app}/{key}                   one
//	GET    /v1/streams/{app}/{key}/players           who reads it
//	DELETE /v1/streams/{app}/{key}/publisher         kick: the connection ends, the encoder may come back
//	GET    /v1/outputs                               every destination and its state
//	POST   /v1/streams/{app}/{key}/outputs           add one: {"urls": ["rtmp://…"]}
//	DELETE /v1/outputs/{id}, POST …/pause, …/restart
//	GET    /v1/config, POST /v1/config/diff, …/apply  the configuration that runs; a new one as YAML
//	GET    /v1/addresses                             what to paste into encoders and players
//	GET    /                                         the page (bridge/page), its pictures from /v1/streams/{app}/{key}/picture.flv
//	GET    /v1/version
//	GET    /v1/openapi.yaml                          all of this, for programs
//	GET    /metrics                                  Prometheus
//	GET    /stats                                    SRT Live Server's shape, for NOALBS
//	GET    /v3/paths/list, …/get/…, /v3/srtconns/get/…  MediaMTX's shape
//	GET    /stat                                     nginx-rtmp's XML
//	GET    /debug/pprof/…                            profiles
//
// Access: with a token every request needs it, as Authorization: Bearer, as the password of Basic (which is what tools that
// poll know), or as ?token=. Without one only requests to a loopback name are answered, so that a page elsewhere cannot reach
// it through a browser on this machine. Nothing is allowed to other origins.
//
// What it leaves to others: the listener, streams and destinations (Source).
package api
