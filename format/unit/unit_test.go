package unit

import (
	"math"
	"testing"
	"time"
	"unicode/utf8"
)

func TestNotations(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Count(0), "0"},
		{Count(999), "999"},
		{Count(1234567), "1,234,567"},
		{Count(-1000), "-1,000"},
		{Number(0.25), "0.25"},
		{Number(1500), "1,500"},
		{Number(1234.5678), "1,235"},
		{Percent(0), "0.00 %"},
		{Percent(0.00001), "< 0.01 %"},
		{Percent(0.003), "0.30 %"},
		{Percent(0.055), "5.5 %"},
		{Percent(0.68), "68 %"},
		{string(AppendDecimal(nil, 20.05)), "20.05"},
		{string(AppendDecimal(nil, 0)), "0"},
		{string(AppendDecimal(nil, 100)), "100"},
		{Duration(24500 * time.Microsecond), "24.5 ms"},
		{Duration(1017 * time.Millisecond), "1.02 s"},
		{Duration(7 * time.Second), "7 s"},
		{Duration(999_980 * time.Microsecond), "1 s"},
		{Duration(999_980 * time.Nanosecond), "1 ms"},
		{Duration(59_980 * time.Millisecond), "1m0s"},
		{Duration(100 * time.Second), "1m40s"},
		{Duration(130 * time.Second), "2m10s"},
		{Duration(120 * time.Hour), "120h"},
		{Duration(250 * time.Nanosecond), "0.25 µs"},
		{Duration(-time.Second), "-1 s"},
		{Size(0), "0 B"},
		{Size(1023), "1023 B"},
		{Size(1024), "1.0 KiB"},
		{Size(12_900_000), "12.3 MiB"},
		{Size(5 << 40), "5120.0 GiB"},
		{ShortSize(1023), "1023B"},
		{ShortSize(1536), "1.5K"},
		{FormatSize(0), "0B"},
		{FormatSize(64 << 20), "64MiB"},
		{FormatSize(1<<20 + 1), "1048577B"},
		{FormatSize(2 << 40), "2TiB"},
		{FormatShare(0.1), "10%"},
		{Prose(0.0245, Seconds), "24.5 ms"},
		{Prose(0.055, Ratio), "5.5 %"},
		{Prose(1500, One), "1,500"},
		{Prose(3, PerSecond), "3/s"},
		{Prose(1, "packets"), "1 packet"},
		{Prose(2, "packets"), "2 packets"},
		{Measured(0.03, Seconds), "30ms"},
		{Measured(18.04, PerSecond), "18/s"},
		{Measured(0.12345, Ratio), "12.3%"},
		{Measured(1234567, One), "1.23457e+06"},
		{Format(0.2, Seconds), "200ms"},
		{Format(0.12345, Ratio), "12.35%"},
		{Format(100<<20, Bytes), "100MiB"},
		{Format(18.04, PerSecond), "18.04"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// What a trigger's limit is written as is read as the same, to the digits that are written.
func TestLimitsAreReadAsWritten(t *testing.T) {
	for _, u := range []string{Seconds, One, PerSecond, Ratio, Bytes} {
		for _, v := range []float64{0, 0.001, 0.25, 1, 18, 250, 1 << 20, 512 << 20} {
			word := Format(v, u)
			got, err := Parse(word, u)
			again := Format(got, u)
			if err != nil || again != word || u != Bytes && math.Abs(got-v) > v*5e-4 {
				t.Errorf("%v %s is written %s and read %v (%s), %v", v, u, word, got, again, err)
			}
		}
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		word, unit string
		want       float64
	}{
		{"200ms", Seconds, 0.2}, {"80%", Ratio, 0.8}, {"0", Ratio, 0}, {"64MiB", Bytes, 64 << 20}, {"1.5KiB", Bytes, 1536},
		{"1000", Bytes, 1000}, {"1GiB", Bytes, 1 << 30}, {"250", One, 250}, {"1e3", PerSecond, 1000},
	} {
		if got, err := Parse(c.word, c.unit); err != nil || got != c.want {
			t.Errorf("%s in %s: %v, %v; want %v", c.word, c.unit, got, err, c.want)
		}
	}
	for _, c := range []struct{ word, unit, want string }{
		{"200", Seconds, `limit "200": want a duration such as 200ms`},
		{"80%", One, `limit "80%": a percentage goes with a ratio, this vital counts in "1"`},
		{"many", One, `limit "many": want a number`},
		{"NaN", One, `limit "NaN": want a number`},
		{"-Inf", Ratio, `limit "-Inf": want a number`},
		{"80", Ratio, `limit "80": want a percentage, did you mean 80%?`},
		{"0.8", Ratio, `limit "0.8": want a percentage, did you mean 80%?`},
		{"1TiB", Bytes, `limit "1TiB": want a number`},
		{"xMiB", Bytes, `limit "x": want a number`},
		{"64MiB", One, `limit "64MiB": want a number`},
	} {
		if got, err := Parse(c.word, c.unit); err == nil || err.Error() != c.want {
			t.Errorf("%s in %s: %v, %v; want error %s", c.word, c.unit, got, err, c.want)
		}
	}
}

// Columns of tables stand under each other because no number is wider than its column.
func TestWidths(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0µs", 499: "0µs", 999_499: "999µs", 999_500: "1ms", 1_234_567: "1.23ms", 999_499_999: "999ms",
		999_500_000: "1s", 12_345_000_000: "12.3s", 99_949_000_000: "99.9s", 100_000_000_000: "1m40s", 3_599_000_000_000: "59m59s",
	} {
		if got := ShortDuration(d); got != want || utf8.RuneCountInString(got) > 6 {
			t.Errorf("%d ns: %q, want %q", d, got, want)
		}
	}
	for _, v := range []float64{0, 999_999_999, -999_999_999, 1e9, 1.0 / 3, -1234.5678, 1e300, -1.234567e-300, math.MaxUint32} {
		if got := Figure(v); len(got) > 10 && math.Abs(v) > 1e-99 && math.Abs(v) < 1e99 {
			t.Errorf("%v is written %q", v, got)
		}
	}
	for n := int64(1); n < 10_000<<30; n = n*3 + 1 {
		if got := ShortSize(n); len(got) > 7 {
			t.Errorf("%d bytes are written %q", n, got)
		}
	}
}
