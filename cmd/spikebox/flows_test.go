package main

import (
	"strings"
	"testing"

	"github.com/spikebox/spikebox/analyzer/listing"
)

// Every key has a place in the help, with what it means.
func TestSortHelp(t *testing.T) {
	help := sortHelp()
	for _, k := range listing.Keys {
		if !strings.Contains(help, "\n  "+k.Name+" ") || !strings.Contains(help, " "+k.Doc) || k.Doc == "" {
			t.Errorf("%s: without help", k.Name)
		}
	}
}
