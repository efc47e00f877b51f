package listing

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/analyzer/evidence"
	"github.com/spikebox/spikebox/analyzer/flow"
)

// capture builds a case that is a bare capture.
func capture(t *testing.T, name string) string {
	t.Helper()
	c, err := cases.Find("../../testdata/cases", name)
	if err != nil {
		t.Fatal(err)
	}
	path, err := c.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// rows gives the connections of a capture, and all that happened in them.
func rows(t *testing.T, path string) (flows []Row, events []EventRow) {
	t.Helper()
	_, err := evidence.Read([]string{path}, evidence.Options{
		OnlyFlows: true,
		Flow:      func(f *flow.Flow) { flows = append(flows, MakeRow(f)) },
		Event:     func(e *flow.Event) { events = append(events, MakeEventRow(e)) },
	})
	if err != nil || len(flows) == 0 || len(events) == 0 {
		t.Fatalf("%d flows, %d events, %v", len(flows), len(events), err)
	}
	return flows, events
}

// Wireshark's filter shows as many packets as the flow has.
func TestFiltersShowTheFlow(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip("needs tshark and capinfos: apt-get install tshark")
	}
	path := capture(t, "ack-dropped-capture")
	flows, _ := rows(t, path)
	for _, r := range flows[:min(3, len(flows))] {
		filter := string(r.filter(nil))
		out, err := exec.Command("tshark", "-r", path, "-Y", filter, "-T", "fields", "-e", "frame.number").Output()
		if err != nil {
			t.Fatalf("tshark -Y %q: %v", filter, err)
		}
		frames := strings.Fields(string(out))
		if n := int(r.C2S.Packets + r.S2C.Packets); len(frames) != n || frames[0] != fmt.Sprint(r.FirstFrame) || frames[n-1] != fmt.Sprint(r.LastFrame) {
			t.Errorf("flow %d has %d packets from frame %d to %d; %s shows frames %v", r.Flow, n, r.FirstFrame, r.LastFrame, filter, frames)
		}
	}
}

// CSV says of each row what JSON says, under the columns' names.
func TestCSVIsJSON(t *testing.T) {
	flows, events := rows(t, capture(t, "listen-overflow-capture"))
	var text bytes.Buffer
	put := Headed(EventCSV(&text))
	for i := range events {
		if err := put(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := csv.NewReader(&text).ReadAll()
	if err != nil || len(lines) != len(events)+1 {
		t.Fatalf("%d lines of %d events, %v", len(lines), len(events), err)
	}
	for i := range events {
		fields := object(t, &events[i])
		for column, name := range lines[0] {
			got, want := lines[i+1][column], fmt.Sprint(fields[name])
			absent := fields[name] == nil && (got == "" || got == "0" || got == "false")
			if name != "offset_s" && got != want && !absent {
				t.Errorf("event %d: column %s is %q, JSON has %s", i, name, got, want)
			}
		}
	}
	text.Reset()
	text.WriteString(csvHeader)
	for i := range flows {
		text.Write(flows[i].csv(nil))
	}
	// It is an error if a line has not as many columns as the first.
	if lines, err := csv.NewReader(&text).ReadAll(); err != nil || len(lines) != 2*len(flows)+1 {
		t.Errorf("%d lines of %d flows, %v", len(lines), len(flows), err)
	}
}

// The JSON of a row is that of encoding/json: no field is forgotten, none is under another name.
func TestJSONIsThatOfTheFields(t *testing.T) {
	flows, events := rows(t, capture(t, "listen-overflow-capture"))
	full, happened, n := Row{}, EventRow{}, 1
	fill(reflect.ValueOf(&full).Elem(), &n)
	fill(reflect.ValueOf(&happened).Elem(), &n)
	same := func(row any, got []byte, tail string) {
		want, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSuffix(string(want), "}") + tail + "}\n"; string(got) != want {
			t.Errorf("JSON %s\nwant %s", got, want)
		}
	}
	for _, r := range append(flows, full, MakeRow(&flow.Flow{})) {
		same(&r, r.json(nil), fmt.Sprintf(`,"filter":"%s"`, r.filter(nil)))
	}
	for _, e := range append(events, happened, EventRow{}) {
		same(&e, e.json(nil), "")
	}
}

// fill gives every field a value of its own; of numbers that may be, those that need an exponent.
func fill(v reflect.Value, n *int) {
	*n++
	switch value := v.Addr().Interface().(type) {
	case *time.Time:
		*value = time.Unix(1_700_000_000, int64(*n)*1000).UTC()
		return
	case *netip.Addr:
		*value = netip.AddrFrom16([16]byte{0x20, 0x01, 15: byte(*n)})
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n-*n%2*50) * 1e-9 * float64(*n**n**n))
	case reflect.String:
		v.SetString(fmt.Sprint("word", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	default:
		v.SetUint(uint64(*n))
	}
}

// object is a row as programs read it; numbers stay what they are.
func object(t *testing.T, row any) map[string]any {
	t.Helper()
	encoded, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(encoded))
	dec.UseNumber()
	var fields map[string]any
	if err := dec.Decode(&fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

// What the engine counts is in the rows: a counter that is added to it is not forgotten here.
func TestRowsHaveEveryCounter(t *testing.T) {
	f := &flow.Flow{}
	filled := reflect.ValueOf(f.C2S()).Elem()
	for i := range filled.NumField() {
		if v := filled.Field(i); filled.Type().Field(i).IsExported() && v.CanUint() {
			v.SetUint(uint64(i + 1))
		}
	}
	row := reflect.ValueOf(MakeRow(f).C2S)
	for i := range filled.NumField() {
		name := filled.Type().Field(i).Name
		if !filled.Type().Field(i).IsExported() || !filled.Field(i).CanUint() || name == "MSS" { // announced, not counted
			continue
		}
		if got := row.FieldByName(name); !got.IsValid() || got.Uint() != uint64(i+1) {
			t.Errorf("%s of a direction is not in its row", name)
		}
	}
}

// Printing ends at the first error, which every later call gives again.
func TestHeaded(t *testing.T) {
	var calls []string
	broken := errors.New("broken pipe")
	put := Headed(func(r *Row) error {
		calls = append(calls, fmt.Sprint(r != nil))
		if r != nil && r.Flow == 2 {
			return broken
		}
		return nil
	})
	for n := range uint64(3) {
		if err := put(&Row{Flow: n + 1}); (err != nil) != (n > 0) {
			t.Errorf("row %d: %v", n+1, err)
		}
	}
	if err := put(nil); err != broken || fmt.Sprint(calls) != "[false true true]" {
		t.Errorf("%v after calls %v", err, calls)
	}
}

func TestSelection(t *testing.T) {
	f := &flow.Flow{Client: netip.MustParseAddrPort("[::ffff:198.51.100.9]:41000"), Server: netip.MustParseAddrPort("192.0.2.10:443")}
	near, far := netip.MustParsePrefix("198.51.100.8/29"), netip.MustParsePrefix("203.0.113.0/24")
	for _, c := range []struct {
		peers []netip.Prefix
		ports []uint
		want  bool
	}{
		{nil, nil, true},
		{[]netip.Prefix{far, near}, nil, true}, // an IPv4 address in IPv6 is that address
		{[]netip.Prefix{far}, nil, false},
		{nil, []uint{80, 41000}, true},
		{nil, []uint{80}, false},
		{[]netip.Prefix{near}, []uint{80}, false},
	} {
		if s := (Selection{c.peers, c.ports}); s.Has(f) != c.want {
			t.Errorf("%v: %v, want %v", s, !c.want, c.want)
		}
	}
}

func TestWhich(t *testing.T) {
	f := &flow.Flow{Client: netip.MustParseAddrPort("[2001:db8::7]:41000"), Server: netip.MustParseAddrPort("[2001:db8::1]:443")}
	for text, want := range map[string]bool{
		"1": true, "2": false, "[2001:db8::7]:41000-[2001:db8::1]:443": true, "[2001:db8::1]:443-[2001:db8::7]:41000": true,
		"[2001:db8::7]:41001-[2001:db8::1]:443": false,
	} {
		if meant, err := Which(text); err != nil || meant(f) != want {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
	for _, text := range []string{"0", "", "-1", "192.0.2.7:41000", "192.0.2.7-192.0.2.1"} {
		if _, err := Which(text); err == nil {
			t.Errorf("%q names a flow", text)
		}
	}
}

// A row of IPv4 fits where it is printed, whatever it is sorted by; behind the addresses of IPv6 columns stand below their names again
// where the blanks between them allow for it.
func TestTableFits(t *testing.T) {
	row := func(client, server string) *Row {
		c, s := netip.MustParseAddrPort(client), netip.MustParseAddrPort(server)
		return &Row{Flow: 99999, Client: c.Addr(), ClientPort: c.Port(), Server: s.Addr(), ServerPort: s.Port(), End: "unanswered"}
	}
	four := row("198.151.100.123:54321", "203.100.113.201:65535")
	for _, width := range []int{60, 72, 80, 120, fullWidth} {
		for _, by := range append([]*Key{nil}, Keys...) {
			var b bytes.Buffer
			put := Table(&b, false, width, by)
			for _, r := range []*Row{nil, four} {
				if err := put(r); err != nil {
					t.Fatal(err)
				}
			}
			for _, line := range strings.Split(b.String(), "\n") {
				if n := utf8.RuneCountInString(line); n > width {
					t.Errorf("%d columns, by %v: %d in %q", width, by, n, line)
				}
			}
		}
	}
	var b bytes.Buffer
	put := Table(&b, false, 80, nil)
	for _, r := range []*Row{nil, row("[2001:db8:2::1f]:41011", "[2001:db8:2::10]:443"), row("[2001:db8:1:2:3:4:5:6]:41011", "[2001:db8:2::10]:443")} {
		if err := put(r); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(b.String(), "\n")
	if at := func(line, word string) int { return utf8.RuneCountInString(line[:strings.Index(line, word)]) }; at(lines[0], "END") != at(lines[1], "unanswered") ||
		at(lines[0], "END") != at(lines[2], "unanswered") {
		t.Errorf("columns do not stand below each other:\n%s", b.String())
	}
}
