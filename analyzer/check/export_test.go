package check

// Shows is what findings can be seen in, for tests that read whole bundles.
var Shows = shows
