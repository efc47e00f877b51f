// Package soak holds the long run of an armed recorder on a host that never rests: make soak. It is made of
// tests only.
package soak
