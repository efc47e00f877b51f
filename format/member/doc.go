// Package member says what the members of a bundle hold, each in one file: its name, its
// row or columns with units and clocks, and how they are written and read, side by side.
// The recorder writes with it and the analyzer reads with it, so that a column cannot mean
// one thing here and another there. SPEC.md in the folder above is normative; each file
// cites its section once.
//
// Times are Unix nanoseconds on CLOCK_REALTIME as it stood at the trigger, unless a field
// says otherwise (SPEC.md, "Clocks"). A row that is about a span of time says whether its
// stamp is the span's begin or its end: the two differ from member to member.
//
// Parsers give what can be read. A line that cannot is left out and does not end the pass;
// the first such error is returned, with its line's number, together with all other rows.
// Fields that are not known are passed over.
package member

// The moments at which what changes is listed: values of At in rows that tell them apart.
const (
	AtTrigger = "trigger" // when the trigger fired
	AtEnd     = "end"     // when the window's end was cut
)
