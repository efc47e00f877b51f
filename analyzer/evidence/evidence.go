// Package evidence x
package evidence
