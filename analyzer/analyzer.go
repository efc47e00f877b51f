// Package analyzer explains what a recorder or a capture caught.
package analyzer

import (
	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/analyzer/timeline"
)

// Run analyses a bundle, captures, or both together: packets become flows, texts become
// numbers over time, and the checks are asked about all of it.
func Run(paths []string, opts evidence.Options) (*report.Document, error) {
	found, err := evidence.Read(paths, opts)
	if err != nil {
		return nil, err
	}
	lines := timeline.Build(&found.Columns)
	asked := check.NewCase(found, lines)
	return report.Make(asked, check.Run(check.All, asked)), nil
}
