// Package nearest finds the name that somebody meant who wrote one that there is not.
package nearest

import "strings"

// Name gives the name that a word was most likely to be: one that differs in a third of
// its letters at most, else the shortest that the word is a part of; "" where none is near. A
// word that is the first part of dotted names means the shortest of them: rtt is rtt.max, not rto.
func Name(word string, names []string) string {
	word = strings.ToLower(word)
	shortest := func(fits func(name string) bool) (found string) {
		for _, name := range names {
			if (found == "" || len(name) < len(found)) && fits(strings.ToLower(name)) {
				found = name
			}
		}
		return found
	}
	if first := shortest(func(name string) bool { return strings.HasPrefix(name, word+".") }); first != "" {
		return first
	}
	best, least := "", max(1, len(word)/3)+1
	for _, name := range names {
		// Letters that one has more are as many differences: bundles have 100,000 names.
		if max(len(name)-len(word), len(word)-len(name)) >= least {
			continue
		}
		if d := distance(word, strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	if best != "" || len(word) < 3 { // one letter is a part of most names
		return best
	}
	return shortest(func(name string) bool { return strings.Contains(name, word) })
}

// distance counts the letters to insert, take away, change or swap with their neighbour
// (optimal string alignment; Boytsov 2011, "Indexing methods for approximate dictionary searching").
func distance(a, b string) int {
	// Three rows of the matrix: a swap looks back two.
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			change := above[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(above[j+1]+1, row[j]+1, change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
