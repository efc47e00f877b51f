// Package kerneltext reads the texts that the kernel prints about itself, one file a text,
// for the recorder that measures by them and for the analyzer that explains them: what a
// column means, and since which version it is there, is written here once. It imports
// nothing of ours and opens no file.
//
// A line that cannot be read costs that line only. Parsers give everything else, together
// with the first error and its line's number: what is left of a damaged text is evidence.
//
// A text that the recorder reads at each tick is parsed without allocating: its parser calls
// a function with each row, and the row's slices point into the text. Other parsers return
// their rows.
package kerneltext
