package page

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spikebox/spikebox/analyzer/plot"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/analyzer/story"
	"github.com/spikebox/spikebox/format/plain"
)

const (
	findings = "findings.json"
	// plotFolder holds the drawings beside the report.
	plotFolder = "plots"
)

// file is one of a report, by its name in the folder. Names are constants, or made of our own drawings' names.
type file struct {
	name string
	make func() ([]byte, error)
}

// Write writes a report into a folder that it makes where there is none: report.html, report.md, report.txt,
// findings.json with its schema, and the drawings. Each file gets its name only when it is whole. Drawings of a report that
// was there before go: they are of another incident.
func Write(dir string, s *story.Story) error {
	_, err := os.Stat(filepath.Join(dir, findings))
	again := err == nil
	if err := os.MkdirAll(filepath.Join(dir, plotFolder), 0o700); err != nil {
		return fmt.Errorf("make report folder: %w", err)
	}
	files := []file{
		{"report.html", buffer(func(w io.Writer) error { return HTML(w, s) })},
		{"report.md", buffer(func(w io.Writer) error { return Markdown(w, s) })},
		{"report.txt", buffer(func(w io.Writer) error { return report.Text(w, s.Doc, report.Style{Width: 100}) })},
		{findings, buffer(func(w io.Writer) error { return report.JSON(plain.NewWriter(w), s.Doc) })},
		{"findings.schema.json", func() ([]byte, error) { return report.SchemaText, nil }},
	}
	for _, p := range pictures(s) {
		files = append(files,
			file{filepath.Join(plotFolder, p.Name+".svg"), func() ([]byte, error) {
				var out bytes.Buffer
				_, err := plain.NewWriter(&out).Write(p.SVG(true))
				return out.Bytes(), err
			}},
			file{filepath.Join(plotFolder, p.Name+".png"), p.PNG})
	}
	if err := writeAll(dir, files); err != nil || !again {
		return err
	}
	return forget(dir, files)
}

// forget removes drawings that are none of the report's files. A drawing is a pair of .svg and .png: other
// files are somebody's.
func forget(dir string, files []file) error {
	drawn, err := filepath.Glob(filepath.Join(dir, plotFolder, "*.svg"))
	for _, svg := range drawn {
		png := strings.TrimSuffix(svg, ".svg") + ".png"
		ours := func(f file) bool { return filepath.Join(dir, f.name) == svg }
		if _, none := os.Stat(png); none != nil || slices.ContainsFunc(files, ours) {
			continue
		}
		err = errors.Join(err, os.Remove(svg), os.Remove(png))
	}
	return err
}

// buffer turns a writer's work into bytes.
func buffer(write func(io.Writer) error) func() ([]byte, error) {
	return func() ([]byte, error) {
		var out bytes.Buffer
		err := write(&out)
		return out.Bytes(), err
	}
}

// pictures are the drawings that are files, too: all but the rows that have nothing to say.
func pictures(s *story.Story) []*plot.Picture {
	var all []*plot.Picture
	if s.Strip != nil {
		all = append(all, s.Strip)
	}
	for i := range s.Explain {
		all = append(all, s.Explain[i].Picture)
	}
	for i := range s.Rows {
		if s.Rows[i].Open {
			all = append(all, s.Rows[i].Picture)
		}
	}
	for i := range s.Findings {
		if p := s.Findings[i].Series; p != nil {
			all = append(all, p)
		}
	}
	return all
}

// writeAll makes the files side by side: pictures of dots take most of the time.
func writeAll(dir string, files []file) error {
	queue := make(chan file)
	errs := make([]error, runtime.GOMAXPROCS(0))
	var done sync.WaitGroup
	for i := range errs {
		done.Go(func() {
			for f := range queue {
				content, err := f.make()
				if err == nil {
					err = replaceFile(filepath.Join(dir, f.name), content)
				}
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	for _, f := range files {
		queue <- f
	}
	close(queue)
	done.Wait()
	return errors.Join(errs...)
}

// replaceFile writes a file beside its place and moves it there.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(content)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
