//go:build linux

// Package ring holds bounded memories: each keeps the newest of one kind of record in an
// array or a number of bytes that is fixed when it is made, whatever comes.
//
//	Newest   records of any type
//	Second   one value of any type for each tick of the last second
//	Rows     rows of numbers, all of one width
//	Texts    kernel texts, compressed against the ones before them
package ring
