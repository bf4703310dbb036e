// Package run judges whole programs over bad links: a matrix of schemes × profiles × seeds.
//
//	          near namespace                                far namespace
//	clip ──▶ sender program(s) ──▶ bench/emu link ──▶ receiver program(s) ──▶ bench/watch ──▶ bridge/stutter
//	paced    stdin or UDP          profile, seed       UDP, RTMP or HTTP       frames          score
//
// A [Scheme] is a YAML file: what to start on either side, how media gets in and where it comes out. Every scheme gets the
// same bytes at the same times: the clip's transport packets are written when their frames would leave an encoder, and the
// clip's frame list, matched by a hash of each picture's slices, is the truth the score is held against.
//
// A [Plan] is the matrix. Run goes through it cell by cell, and keeps what it has when it is cancelled: the report says
// Partial. Beside every batch of cells runs a control stream over a clean link of its own, which says whether the host
// itself stalled; see [report.Cell].Noisy.
//
// What is left behind when this process dies: nothing. Programs live in the link's namespaces and die with it (bench/emu),
// files are in one temporary folder a cell, removed at its end.
//
// Left to others: the link (bench/emu), the judgement (bridge/stutter), tables and pages (bench/report).
package run
