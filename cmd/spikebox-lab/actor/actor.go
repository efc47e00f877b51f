//go:build linux

// Package actor holds the programs that play in a lab incident: servers, clients
// and makers of trouble. Each runs as a process of its own (the lab re-executes
// itself, see Main), so that a recorder which names the process behind a listener
// names a real one.
//
// The lab and an actor talk in lines: the actor reads one JSON object with its
// parameters from standard input, then commands ("accept 700ms"), one a line; it
// writes one JSON Event a line to standard output. The end of its input ends it.
package actor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Actor is one program of the lab.
type Actor struct {
	Name string // the hidden argument that selects it
	Doc  string
	// run plays until ctx ends; what it still has to tell it tells before it returns.
	run func(ctx context.Context, c *Cue) error
}

// Actors lists every program that Main can become.
func Actors() []*Actor {
	return []*Actor{server, client, flood, ping, sink, trickle, datagrams, burn, pages, sniff}
}

// Event is one line from an actor to the lab. Times are Unix nanoseconds.
type Event struct {
	Kind string `json:"kind"` // ready, flow, sample, note, done
	Time int64  `json:"time"`
	// Text is, by kind, the ready actor's address or a note for the truth.
	Text string  `json:"text,omitempty"`
	Flow *Flow   `json:"flow,omitempty"`
	Name string  `json:"name,omitempty"`  // of a sample's series, with its unit: rtt.max_ms
	Val  float64 `json:"value,omitempty"` // of a sample
}

// Flow is what the client of one TCP connection knows about it when it is over.
type Flow struct {
	Group      string `json:"group"` // who made it: healthy, crowd, …
	Client     string `json:"client"`
	ClientPort int    `json:"client_port"`
	Server     string `json:"server"`
	ServerPort int    `json:"server_port"`
	First      int64  `json:"first"` // Unix ns, just before connect(2)
	Last       int64  `json:"last"`  // Unix ns, after close(2)
	// ConnectMS is how long connect(2) took, 0 where it never succeeded.
	ConnectMS float64 `json:"connect_ms,omitempty"`
	// SynRetransmits and Retransmits are the kernel's own counts at the client
	// (tcpi_total_retrans): after connect(2), and of the whole connection at its end.
	SynRetransmits int     `json:"syn_retransmits"`
	Retransmits    int     `json:"retransmits"`
	Requests       int     `json:"requests"`
	Bytes          int64   `json:"bytes"` // of response bodies
	SlowestMS      float64 `json:"slowest_ms,omitempty"`
	RTTms          float64 `json:"rtt_ms,omitempty"` // smoothed, at the end
	// Hurt is when the user had waited a second for the first time, or was failed before
	// that; Unix ns, 0 for never.
	Hurt int64 `json:"hurt,omitempty"`
	// End is done, open (cut off by the end of the run), unanswered, refused,
	// reset, timeout, no port or another error's text.
	End string `json:"end"`
}

// patience is how long a user waits without being hurt by it.
const patience = time.Second

// waited notes what the user had to wait for, from start until now, and whether it failed.
func (f *Flow) waited(start time.Time, failed bool) {
	switch now := time.Now(); {
	case f.Hurt != 0:
	case now.Sub(start) >= patience:
		f.Hurt = start.Add(patience).UnixNano()
	case failed:
		f.Hurt = now.UnixNano()
	}
}

// Cue is an actor's line to the lab.
type Cue struct {
	in  *bufio.Scanner
	out *json.Encoder
	mu  sync.Mutex
}

// Main runs the actor called name until its input ends. It is the whole life of a
// child process of the lab.
func Main(name string, in io.Reader, out io.Writer) error {
	for _, a := range Actors() {
		if a.Name == name {
			return play(a, &Cue{in: bufio.NewScanner(in), out: json.NewEncoder(out)})
		}
	}
	return fmt.Errorf("run actor %q: no such actor", name)
}

// play runs one actor; whatever it left running ends with its context.
func play(a *Actor, c *Cue) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := a.run(ctx, c); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("run actor %q: %w", a.Name, err)
	}
	return nil
}

// params fills p from the first line and takes on the name comm.
func (c *Cue) params(p any, comm func() string) error {
	if !c.in.Scan() {
		return errors.Join(errors.New("read parameters: no input"), c.in.Err())
	}
	if err := json.Unmarshal(c.in.Bytes(), p); err != nil {
		return fmt.Errorf("read parameters: %w", err)
	}
	return rename(comm())
}

// rename sets the process name that /proc/PID/comm, ss and top show. Writing the
// file names the thread-group leader, whichever thread writes (fs/proc/base.c,
// comm_write); prctl(PR_SET_NAME) would name the calling thread only.
func rename(comm string) error {
	if comm == "" {
		return nil
	}
	if err := os.WriteFile("/proc/self/comm", []byte(comm), 0); err != nil {
		return fmt.Errorf("set process name %q: %w", comm, err)
	}
	return nil
}

// commands calls f for each line of input until it ends or says stop. An actor without
// commands has no f.
func (c *Cue) commands(f func(verb, arg string) error) error {
	for c.in.Scan() {
		var verb, arg string
		fmt.Sscan(c.in.Text(), &verb, &arg)
		if verb == "stop" {
			return nil
		}
		if f == nil {
			return fmt.Errorf("no such command %q", verb)
		}
		if err := f(verb, arg); err != nil {
			return fmt.Errorf("obey %q: %w", c.in.Text(), err)
		}
	}
	return c.in.Err()
}

// ready tells the lab that the actor has taken its place.
func (c *Cue) ready(text string) { c.send(Event{Kind: "ready", Text: text}) }

// note adds a line to the run's truth.
func (c *Cue) note(format string, a ...any) {
	c.send(Event{Kind: "note", Text: fmt.Sprintf(format, a...)})
}

// flow tells of a connection that is over.
func (c *Cue) flow(f *Flow) { c.send(Event{Kind: "flow", Flow: f}) }

// sample tells one value of a series; its name ends in the unit.
func (c *Cue) sample(name string, v float64) {
	c.send(Event{Kind: "sample", Name: name, Val: v})
}

// send writes an event. A lab that is gone reads nothing: the actor then ends by the
// end of its input, so the error has no other use.
func (c *Cue) send(e Event) {
	e.Time = time.Now().UnixNano()
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.out.Encode(e)
}

// ms is a duration in milliseconds, to the microsecond.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
