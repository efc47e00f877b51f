// Package analyzer explains what a recorder or a capture caught.
package analyzer

import (
	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/analyzer/story"
	"github.com/spikebox/spikebox/analyzer/timeline"
	"github.com/spikebox/spikebox/format"
)

// Run analyses a bundle, captures, or both together: packets become flows, texts become
// numbers over time, and the checks are asked about all of it.
func Run(paths []string, opts evidence.Options) (*report.Document, error) {
	opts.Bundles = true
	doc, _, err := Ask(paths, opts)
	return doc, err
}

// Ask is Run, and gives what was asked about, too: of several bundles only where the options allow for them.
func Ask(paths []string, opts evidence.Options) (*report.Document, *check.Case, error) {
	found, err := evidence.Read(paths, opts)
	if err != nil {
		return nil, nil, err
	}
	lines := timeline.Build(&found.Columns)
	asked := check.NewCase(found, lines)
	return report.Make(asked, check.Run(check.All, asked)), asked, nil
}

// Tell is Run, and the story for a report beside it. It reads the packets twice: only after the first time it
// is known which connections show what happened.
func Tell(paths []string, opts evidence.Options, wanted story.Options) (*story.Story, error) {
	flows := story.NewFlows()
	also := opts.Flow
	opts.Flow = func(f *flow.Flow) {
		flows.Add(f)
		if also != nil {
			also(f)
		}
	}
	opts.Bundles = true
	doc, asked, err := Ask(paths, opts)
	if err != nil {
		return nil, err
	}
	again := evidence.Options{Limits: opts.Limits}
	return story.Make(story.Source{
		Case: asked, Doc: doc, Flows: flows, Options: wanted,
		Open:   func(path string) (*evidence.Records, error) { return evidence.OpenRecords(path, again) },
		Bundle: func(path string) (*format.Reader, error) { return format.Open(path, opts.Limits) },
	})
}
