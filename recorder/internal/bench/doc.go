// Package bench holds the benchmark of what an armed recorder costs a web server: make
// bench-armed. It is made of tests only.
package bench
