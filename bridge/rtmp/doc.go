// Package rtmp is RTMP without sockets: chunks and messages, the handshakes, commands, and both ends of a connection
// as state machines. Bytes go in, events and bytes come out. RTMP 1.0 (Adobe, December 2012) and Enhanced RTMP v2.
//
// On the wire, after TCP or TLS:
//
//	client                                                       server
//	C0 (1 byte: 3)  C1 (1536: time 4, zero or version 4, random)  ─▶
//	                ◀─  S0  S1  S2 (C1 echoed, or a digest's proof)
//	C2  Set Chunk Size  connect{app, tcUrl, fourCcList, …}        ─▶
//	                ◀─  Window Ack Size  Set Peer Bandwidth  Set Chunk Size  _result
//	releaseStream  FCPublish  createStream                        ─▶      (a player: createStream)
//	                ◀─  _result(stream id)
//	publish(key, "live")  or  play(key, -2000)                    ─▶
//	                ◀─  User Control: Stream Begin, onStatus NetStream.Publish.Start or .Play.Start
//	@setDataFrame onMetaData, sequence headers, frames            ─▶  or  ◀─
//	FCUnpublish  deleteStream                                     ─▶
//
// Behind the handshake everything is chunks, pieces of messages; numbers are big-endian unless it says otherwise:
//
//	basic header    ff iiiiii                      format, chunk stream id 2..63
//	                ff 000000  id-64               id 64..319
//	                ff 000001  id-64 in 2 bytes    id 64..65599, low byte first
//	message header  format 0   timestamp 3, length 3, type 1, message stream id 4 (little-endian)
//	                format 1   timestamp delta 3, length 3, type 1
//	                format 2   timestamp delta 3
//	                format 3   nothing: goes on with the message, or begins one like the last
//	extended        4 bytes where the timestamp (delta) reads 0xffffff; format 3 repeats them
//	payload         min(chunk size, what is left of the message)
//
// The payload of an audio, video or data message is the body of an FLV tag: see bridge/flv.
//
// The reader is lax where senders in use are wrong: extended timestamps left out of, or zero in, format 3 chunks, chunk
// streams that begin with format 1, commands without arguments, odd S2 and C2. The writers are strict.
//
// Left to others: sockets, time-outs and logs (rtmpserver, rtmpout), media (flv), who may publish (rtmpserver's caller).
package rtmp
