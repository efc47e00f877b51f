// Package taps finds the same segments in captures of several places, also across address translation, puts the
// places' clocks on one, and says between which of them segments were lost or held.
package taps
