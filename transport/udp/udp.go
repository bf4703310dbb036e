// Package udp sets up UDP sockets: buffers large enough that a busy process loses nothing between two reads.
package udp
