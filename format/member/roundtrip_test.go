package member

import (
	"bytes"
	"io"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spikebox/spikebox/format"
)

var sameAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// ignoreLine: a line's number is where it was read, not what it holds.
var ignoreLine = cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Line" }, cmp.Ignore())

// form is how a member is read and written again, its bytes as they were.
type form struct {
	name   string // or, with a slash at the end, the begin of it
	filled func(t *testing.T) []byte
	again  func(text []byte) ([]byte, error)
}

// rows is the form of JSON Lines.
func rows[T any](name string, writer func(io.Writer) *Writer[T], parse func([]byte) ([]T, error)) form {
	encode := func(rows []T) ([]byte, error) {
		var out bytes.Buffer
		w := writer(&out)
		for i := range rows {
			if err := w.Write(&rows[i]); err != nil {
				return nil, err
			}
		}
		return out.Bytes(), nil
	}
	return form{name, func(t *testing.T) []byte {
		want := make([]T, 2)
		n := 0
		for i := range want {
			fill(reflect.ValueOf(&want[i]).Elem(), &n)
		}
		text, err := encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parse(text)
		if diff := cmp.Diff(want, got, sameAddr, ignoreLine); diff != "" || err != nil {
			t.Errorf("%s: error %v, (-written +read):\n%s", name, err, diff)
		}
		return text
	}, func(text []byte) ([]byte, error) {
		all, err := parse(text)
		if err != nil {
			return nil, err
		}
		return encode(all)
	}}
}

// document is the form of a member that is one JSON object.
func document[T any](name string, write func(*T, []byte) ([]byte, error), parse func([]byte) (*T, error)) form {
	return form{name, func(t *testing.T) []byte {
		want, n := new(T), 0
		fill(reflect.ValueOf(want).Elem(), &n)
		text, err := write(want, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parse(text)
		if diff := cmp.Diff(want, got, sameAddr); diff != "" || err != nil {
			t.Errorf("%s: error %v, (-written +read):\n%s", name, err, diff)
		}
		return text
	}, func(text []byte) ([]byte, error) {
		v, err := parse(text)
		if err != nil {
			return nil, err
		}
		return write(v, nil)
	}}
}

// table is the form of a member with columns, or of lines of words.
func table[T any](name, header string, line func(*T, []byte) []byte, parse func([]byte) ([]T, error)) form {
	encode := func(rows []T) []byte {
		out := []byte(header)
		for i := range rows {
			out = line(&rows[i], out)
		}
		return out
	}
	return form{name, func(t *testing.T) []byte {
		want := make([]T, 2)
		n := 0
		for i := range want {
			fill(reflect.ValueOf(&want[i]).Elem(), &n)
		}
		got, err := parse(encode(want))
		if diff := cmp.Diff(want, got, sameAddr, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), ignoreLine); diff != "" || err != nil {
			t.Errorf("%s: error %v, (-written +read):\n%s", name, err, diff)
		}
		return encode(want)
	}, func(text []byte) ([]byte, error) {
		all, err := parse(text)
		return encode(all), err
	}}
}

// forms is every member that has rows or fields of ours.
var forms = []form{
	{VitalsName, nil, func(text []byte) ([]byte, error) {
		v, err := ParseVitals(text)
		out := AppendVitalsHeader(nil, v.Names)
		for i := range v.Rows {
			out = v.Rows[i].Append(out)
		}
		return out, err
	}},
	table(ClocksName, ClocksHeader, (*Clocks).Append, ParseClocks),
	table(ListenersName, ListenersHeader, (*Queue).Append, ParseQueues),
	table(KmsgName, "", (*LogLine).Append, ParseKmsg),
	rows(EventsName, NewEventWriter, ParseEvents),
	rows(LatenciesName, NewLatencyWriter, ParseLatencies),
	table(DropsName, DropsHeader, (*Drop).Append, ParseDrops),
	table(UnattributedName, DropsHeader, (*Drop).Append, ParseDrops),
	rows(SocketsName, NewSocketWriter, ParseSockets),
	rows(ProcessesName, NewProcessWriter, ParseProcesses),
	{ConntrackName, nil, func(text []byte) (out []byte, err error) {
		err = EachConntrack(text, func(e *ConntrackEntry) { out = e.Append(out, 0) })
		return out, err
	}},
	document(ConntrackSummaryName, (*ConntrackSummary).Append, ParseConntrackSummary),
	rows(QdiscsName, NewQdiscWriter, ParseQdiscs),
	rows(LinksName, NewWriter[Link], ParseLinks),
	rows(AddressesName, NewWriter[Address], ParseAddresses),
	rows(RoutesName, NewWriter[Route], ParseRoutes),
	rows(RulesName, NewWriter[Rule], ParseRules),
	rows(NeighboursName, NewWriter[Neighbour], ParseNeighbours),
	document(NetlinkSummaryName, (*NetlinkSummary).Append, ParseNetlinkSummary),
	document(NetfilterName, (*Netfilter).Append, ParseNetfilter),
	rows(StatisticsName, NewStatisticsWriter, ParseStatistics),
	document(EthtoolFolder, (*NIC).Append, ParseNIC),
}

// What is written is read back, every field with a value of its own.
func TestRoundTrips(t *testing.T) {
	for _, f := range forms {
		if f.filled == nil { // vitals and connections have tests of their own
			continue
		}
		written := f.filled(t)
		if again, err := f.again(written); err != nil || !bytes.Equal(again, written) {
			t.Errorf("%s: written again (%v)\n%s\nwant\n%s", f.name, err, again, written)
		}
	}
}

// Numbers of vitals are read back to the last bit, and what was not measured stays so.
func TestVitalsRoundTrip(t *testing.T) {
	text := AppendVitalsHeader(nil, []string{"rtt.p99", "syn_recv"})
	text = (&VitalsRow{Time: 7, Values: []float64{1.0 / 3, 5e-324}}).Append(text)
	v, err := ParseVitals(text)
	if err != nil || v.Rows[0].Values[0] != 1.0/3 || v.Rows[0].Values[1] != 5e-324 {
		t.Errorf("%+v (%v) of %q", v, err, text)
	}
}

// The bundles that older recorders wrote, read and written again, are equal byte for byte:
// names, order and form of every column and field are as they were.
func TestOldBundlesWrittenAgain(t *testing.T) {
	paths, err := filepath.Glob("../../testdata/bundles/*/*" + format.Ext)
	if err != nil || len(paths) == 0 {
		t.Fatalf("bundles %v, %v", paths, err)
	}
	seen := map[string]bool{}
	for _, path := range paths {
		r, err := format.Open(path, format.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		err = r.Walk(func(m format.Member, content io.Reader) error {
			f := formOf(m.Name)
			if f == nil {
				return nil
			}
			text, err := io.ReadAll(content)
			if err != nil {
				return err
			}
			seen[f.name] = seen[f.name] || len(text) > 0
			again, err := f.again(text)
			if err != nil || !bytes.Equal(again, text) {
				t.Errorf("%s of %s: error %v; %s", m.Name, filepath.Base(path), err, firstDifference(text, again))
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		r.Close()
	}
	for _, f := range forms {
		if !seen[f.name] {
			t.Logf("no old bundle has anything in %s", f.name)
		}
	}
}

func formOf(name string) *form {
	for i := range forms {
		if f := &forms[i]; name == f.name || strings.HasSuffix(f.name, "/") && strings.HasPrefix(name, f.name) {
			return f
		}
	}
	return nil
}

func firstDifference(want, got []byte) string {
	wants, gots := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	for i := range min(len(wants), len(gots)) {
		if wants[i] != gots[i] {
			return "was\n" + wants[i] + "\nis\n" + gots[i]
		}
	}
	return "one is longer"
}

// fill gives every field of a value a content of its own.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{192, 0, 2, byte(*n)})))
		return
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(*n)}), uint16(*n))))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.Repeat("x", 1+*n%7) + "<" + string(rune('a'+*n%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(elem, n)
		v.SetMapIndex(key, elem)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic("no content for " + v.Type().String())
	}
}
