package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/spikebox/spikebox/cmd/internal/cli"
)

// controlSocket is where spikeboxd listens unless it was told otherwise.
const controlSocket = "/run/spikebox/control.sock"

// answerTime bounds a question to the recorder, which answers between two ticks.
const answerTime = 10 * time.Second

var status = &cli.Command{
	Name:     "status",
	Args:     "[--json]",
	Doc:      "ask the spikeboxd of this host what it records and how it is",
	Examples: []string{"spikebox status", "spikebox status --json | jq .vitals"},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		socket := flags.String("control", controlSocket, "control socket of the recorder")
		asJSON := flags.Bool("json", false, "print the recorder's answer as it is")
		return func(ctx context.Context, args []string) error {
			if len(args) > 0 {
				return cli.Usagef("status takes no argument %q", args[0])
			}
			answer, err := ask(ctx, *socket, http.MethodGet, "/status", "")
			if err != nil {
				return err
			}
			if *asJSON {
				_, err := os.Stdout.Write(answer)
				return err
			}
			return printStatus(answer)
		}
	},
}

var trigger = &cli.Command{
	Name:     "trigger",
	Args:     "[--reason TEXT]",
	Doc:      "have the spikeboxd of this host cut a bundle now",
	Examples: []string{"spikebox trigger --reason 'customers report timeouts'"},
	Setup: func(flags *pflag.FlagSet) func(context.Context, []string) error {
		socket := flags.String("control", controlSocket, "control socket of the recorder")
		reason := flags.String("reason", "", "why, for the bundle's manifest")
		return func(ctx context.Context, args []string) error {
			if len(args) > 0 {
				return cli.Usagef("trigger takes no argument %q", args[0])
			}
			if _, err := ask(ctx, *socket, http.MethodPost, "/trigger", *reason); err != nil {
				return err
			}
			fmt.Println("triggered; spikebox status names the bundle when it is written")
			return nil
		}
	},
}

// ask sends one request to the recorder and gives its answer.
func ask(ctx context.Context, socket, method, path, body string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://spikeboxd"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, &cli.Coded{Code: cli.Failed, Err: fmt.Errorf("ask spikeboxd on %s: %w", socket, rootCause(err)),
			Hint: "is it running, with this --control, and may you read the socket?"}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("ask spikeboxd on %s: %s: %s", socket, resp.Status, strings.TrimSpace(string(answer)))
	}
	return answer, err
}

// rootCause drops the URL that net/http puts before an error: it means nothing here.
func rootCause(err error) error {
	for {
		wrapper, ok := err.(interface{ Unwrap() error })
		if !ok || wrapper.Unwrap() == nil {
			return err
		}
		err = wrapper.Unwrap()
	}
}

// recorderStatus is the part of the recorder's answer that is printed.
type recorderStatus struct {
	Program    string    `json:"program"`
	PID        int       `json:"pid"`
	Host       string    `json:"host"`
	Armed      time.Time `json:"armed"`
	LastTick   time.Time `json:"last_tick"`
	Triggers   []string  `json:"triggers"`
	Interfaces []struct {
		Name    string    `json:"name"`
		State   string    `json:"state"`
		Covered time.Time `json:"covered"`
		Packets uint64    `json:"packets"`
		Lost    uint64    `json:"lost"`
	} `json:"interfaces"`
	Sources []struct {
		Name   string `json:"name"`
		State  string `json:"state"`
		Reason string `json:"reason"`
	} `json:"sources"`
	Pending    bool   `json:"pending"`
	Bundles    int    `json:"bundles"`
	LastBundle string `json:"last_bundle"`
	Lost       int    `json:"lost"`
	LastError  string `json:"last_error"`
	Suppressed int    `json:"suppressed"`
}

func printStatus(answer []byte) error {
	var s recorderStatus
	if err := json.Unmarshal(answer, &s); err != nil {
		return fmt.Errorf("read the recorder's answer: %w", err)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "recorder\t%s, pid %d, on %s\n", s.Program, s.PID, s.Host)
	fmt.Fprintf(w, "armed\tsince %s, last tick %s ago\n", s.Armed.Format(time.RFC3339), ago(s.LastTick))
	fmt.Fprintf(w, "triggers\t%s\n", strings.Join(s.Triggers, ", "))
	for _, i := range s.Interfaces {
		fmt.Fprintf(w, "%s\t%s, holds the last %s, %d packets recorded, %d lost\n", i.Name, i.State, ago(i.Covered), i.Packets, i.Lost)
	}
	for _, src := range s.Sources {
		if src.State != "complete" {
			fmt.Fprintf(w, "%s\t%s: %s\n", src.Name, src.State, src.Reason)
		}
	}
	fmt.Fprintf(w, "bundles\t%d written, %d lost, %d triggers held back\n", s.Bundles, s.Lost, s.Suppressed)
	if s.LastBundle != "" {
		fmt.Fprintf(w, "last bundle\t%s\n", s.LastBundle)
	}
	if s.LastError != "" {
		fmt.Fprintf(w, "last error\t%s\n", s.LastError)
	}
	if s.Pending {
		fmt.Fprintf(w, "pending\ta trigger has fired, and its bundle is not written yet\n")
	}
	return w.Flush()
}

func ago(t time.Time) time.Duration {
	d := time.Since(t)
	if d > time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}
