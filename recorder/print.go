//go:build linux

package recorder

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spikebox/spikebox/format"
)

// PrintVitals lists the vitals, and below them why some are not measured, or not in the best
// way: each reason once, at the first vital that it costs.
func (s *Survey) PrintVitals(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VITAL\tUNIT\tMEASURED BY\tMEANING")
	for _, v := range s.Vitals {
		by := v.Source
		if by == "" {
			by = "nothing"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", v.Name, v.Unit, by, v.Doc)
	}
	err := table.Flush()
	// One missing capability takes many vitals at once; repeated for each it would bury the list.
	said := map[string]bool{}
	for _, v := range s.Vitals {
		if v.Reason != "" && !said[v.Reason] {
			said[v.Reason] = true
			_, err = fmt.Fprintf(w, "\n%s: %s\n", v.Name, v.Reason)
		}
	}
	return err
}

// PrintSources lists the sources.
func (s *Survey) PrintSources(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SOURCE\tSTATE\tBY\tWHAT IT IS")
	for _, src := range s.Sources {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", src.Name, src.State, src.Variant, src.Doc)
	}
	return table.Flush()
}

// missing is what one cause costs.
type missing struct {
	cause   string
	sources []SurveyedSource
}

// missing gathers the sources that are not complete by their causes, in the order of the
// survey: one missing capability is one paragraph.
func (s *Survey) missing() (all []missing) {
	at := map[string]int{}
	for _, src := range s.Sources {
		if src.State == format.Complete {
			continue
		}
		i, known := at[src.Reason]
		if !known {
			i = len(all)
			at[src.Reason] = i
			all = append(all, missing{cause: src.Reason})
		}
		all[i].sources = append(all[i].sources, src)
	}
	return all
}

// PrintDiagnosis says what is missing, why, and what that costs, and how many sources are
// not complete.
func (s *Survey) PrintDiagnosis(w io.Writer) (incomplete int, err error) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range s.Findings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.Name, f.State, f.Text)
	}
	if s.Rings != "" {
		fmt.Fprintf(table, "rings\t%s\t%s\n", s.reaches(), s.Rings)
	}
	if err := table.Flush(); err != nil {
		return 0, err
	}
	for _, m := range s.missing() {
		fmt.Fprintln(w, m.cause+":")
		for _, src := range m.sources {
			costs := ""
			if src.Without != "" {
				costs = ", which costs: " + src.Without
			}
			fmt.Fprintf(w, "  %s is %s%s\n", src.Name, src.State, costs)
		}
		incomplete += len(m.sources)
	}
	if incomplete == 0 {
		_, err = fmt.Fprintf(w, "all %d sources and %d vitals are there\n", len(s.Sources), len(s.Vitals))
	} else {
		_, err = fmt.Fprintf(w, "%d of %d sources are not complete; the recorder runs on with the others\n", incomplete, len(s.Sources))
	}
	return incomplete, err
}

// Worst is the worst state of the findings.
func (s *Survey) Worst() string {
	worst := s.reaches()
	order := []string{Fine, Note, Warning, Fault}
	for _, f := range s.Findings {
		if slices.Index(order, f.State) > slices.Index(order, worst) {
			worst = f.State
		}
	}
	return worst
}

// reaches is Warning where the rings do not reach back as far as a bundle asks.
func (s *Survey) reaches() string {
	if s.Short {
		return Warning
	}
	return Fine
}
