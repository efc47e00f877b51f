package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/analyzer"
	"github.com/spikebox/spikebox/analyzer/check"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/page"
	"github.com/spikebox/spikebox/analyzer/report"
	"github.com/spikebox/spikebox/analyzer/story"
	"github.com/spikebox/spikebox/cmd/internal/cli"
)

var analyze = &cli.Command{
	Name: "analyze",
	Args: "BUNDLE|PCAP… [-o DIR] [--json] [--fail-on SEVERITY]",
	Doc:  "say what happened, why, and what was ruled out",
	Long: `Takes one bundle (also as .tar or .tar.gz, or the folder that it was unpacked into),
or captures (pcap or pcapng, also .gz and .zst), or a bundle with captures or bundles of
other machines; "-" is standard input. A bare capture answers only what packets can tell.

Several inputs of the same time, as of both ends of a path, or of a load balancer and
a backend, are compared: their clocks by the packets that both saw, and what was lost
or held up from one to the other, also where addresses are translated in between. Each
connection is told of once: as the bundle has it, the first where there are several, or
where it was seen first. Files of one capture (tcpdump -C, dumpcap -b) are one input.

-o writes report.html, one file to attach to a postmortem, report.md to paste into one,
the drawings of both below plots, findings.json with its schema, and report.txt, which
is what is printed. --json prints findings.json.

--logs lays the log of a web server or proxy over the window: times of requests beside
everything else, and where the log has the clients' ports each request's connection in the
packets. Known are nginx's log with rt=$request_time uct=… uht=… urt=… or as JSON, HAProxy's
HTTP log, and Apache's with %D at the end; --log-format takes any other in the server's own
words. In nginx, $remote_port and $msec make it exact.

Exit code 3: evidence that a check needs was lost (the capture dropped packets or ends
before its end, no packet can be read, a source failed, a text cannot be read), or a log that
was given is of another time. What a bare capture cannot hold, and sources that are
unsupported or switched off, do not count.
Exit code 4: the bundle is damaged; what is whole was analysed.
Exit code 1 with --fail-on: a finding is as bad as that, whatever else is the case.`,
	Examples: []string{
		"spikebox analyze web1-20261121T034711Z-listen.overflows.spike.tar.zst",
		"spikebox analyze --json incident.pcapng.gz | jq .verdict",
		"spikebox analyze -o report --title 'INC-1234: shop timed out' --tz Europe/Berlin web1-20261121T034711Z-rtt.p99.spike.tar.zst",
		"spikebox analyze -o report --logs /var/log/nginx/timing.log web1-20261121T034711Z-rtt.p99.spike.tar.zst",
		`spikebox analyze --logs access.log --log-format '$remote_addr:$remote_port [$time_local] "$request" $status $request_time' web1.spike.tar.zst`,
		"spikebox analyze edge-1.spike.tar.zst backend-2.pcapng",
		"spikebox analyze -o report --fail-on critical web1-20261121T034711Z-rtt.p99.spike.tar.zst",
	},
	Setup: setupAnalyze,
}

// analyzeFlags are the flags of analyze.
type analyzeFlags struct {
	dir    string
	json   bool
	failOn string
	title  string
	zone   zoneFlag
	logs   logFlags
}

func setupAnalyze(flags *pflag.FlagSet) func(context.Context, []string) error {
	var f analyzeFlags
	flags.StringVarP(&f.dir, "output", "o", "", "folder for report.html, report.md, findings.json and plots")
	flags.BoolVar(&f.json, "json", false, "print findings.json instead of text")
	flags.StringVar(&f.failOn, "fail-on", "", "exit with 1 on findings this bad or worse: info, warning or critical")
	flags.StringVar(&f.title, "title", "", "title of the report")
	flags.Var(&f.zone, "tz", "a second clock beside UTC: a `ZONE` such as Europe/Berlin, or Local")
	f.logs.add(flags)
	return func(_ context.Context, args []string) error {
		if len(args) == 0 {
			return cli.Usagef("analyze what? a bundle or captures are missing")
		}
		if err := f.logs.check(); err != nil {
			return err
		}
		if f.failOn != "" && check.Severity(f.failOn).Rank() == 0 {
			return cli.Usagef("severity %q: want info, warning or critical", f.failOn)
		}
		return runAnalyze(args, f)
	}
}

// runAnalyze reads, writes what was asked for, and turns what was found into an exit
// code. The report is printed whatever the code is.
func runAnalyze(paths []string, f analyzeFlags) error {
	bar := startBar()
	doc, err := f.analyze(paths, evidence.Options{Progress: &bar.progress, Logs: f.logs.read()})
	// Before anything is printed: the bar and the report may be on the same terminal.
	bar.stop()
	if err != nil {
		return err
	}
	if f.json {
		err = report.JSON(cli.Out, doc)
	} else {
		err = report.Text(cli.Out, doc, style())
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return outcome(doc, f.failOn)
}

// analyze reads the inputs, and writes the folder where one is wanted.
func (f *analyzeFlags) analyze(paths []string, opts evidence.Options) (*report.Document, error) {
	if f.dir == "" {
		doc, err := analyzer.Run(paths, opts)
		if err != nil {
			return nil, opened(paths, anyInput, err)
		}
		f.head(doc)
		return doc, nil
	}
	told, err := analyzer.Tell(paths, opts, story.Options{Title: f.title, Zone: f.zone.Location})
	if err != nil {
		return nil, opened(paths, anyInput, err)
	}
	f.head(told.Doc)
	writing.Lock()
	defer writing.Unlock()
	return told.Doc, page.Write(f.dir, told)
}

// head sets what the user wants to read above all.
func (f *analyzeFlags) head(doc *report.Document) {
	doc.Title = f.title
	if f.zone.Location != nil {
		doc.In(f.zone.Location)
	}
}

// zoneFlag is a time zone of the IANA database, a copy of which is in the program.
type zoneFlag struct{ *time.Location }

// String gives the zone's name.
func (z *zoneFlag) String() string {
	if z.Location == nil {
		return ""
	}
	return z.Location.String()
}

// Set finds a zone by its name.
func (z *zoneFlag) Set(name string) (err error) {
	if name == "" {
		return errors.New("time zone: want a name such as Europe/Berlin")
	}
	if z.Location, err = time.LoadLocation(name); err != nil {
		return fmt.Errorf("time zone %q: want a name of the IANA database such as Europe/Berlin, or Local", name)
	}
	return nil
}

// Type is what help calls it.
func (z *zoneFlag) Type() string { return "zone" }

// outcome turns the result into an exit code.
func outcome(doc *report.Document, failOn string) error {
	switch {
	case failOn != "" && doc.Worst().Rank() >= check.Severity(failOn).Rank():
		return &cli.Coded{Code: cli.Failed}
	case doc.Damaged():
		return &cli.Coded{Code: cli.Damaged}
	case doc.EvidenceLost, doc.Requests.Short():
		return &cli.Coded{Code: cli.Missing}
	}
	return nil
}
