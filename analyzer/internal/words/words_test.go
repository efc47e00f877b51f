package words

import (
	"testing"
	"time"
)

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		Count(0):                            "0",
		Count(999):                          "999",
		Count(1234567):                      "1,234,567",
		Count(-1000):                        "-1,000",
		Number(0.25):                        "0.25",
		Number(1500):                        "1,500",
		Number(1234.5678):                   "1,235",
		Plural(1, "flow", "flows"):          "1 flow",
		Plural(2000, "flow", "flows"):       "2,000 flows",
		Of(41, 60, "try", "tries"):          "41 of 60 tries (68 %)",
		Of(60, 60, "try", "tries"):          "all 60 tries",
		Of(1, 1, "try", "tries"):            "the only try",
		Percent(0.00001):                    "< 0.01 %",
		Percent(0.003):                      "0.30 %",
		Percent(0.055):                      "5.5 %",
		Duration(24500 * 1e3):               "24.5 ms",
		Duration(1017 * time.Millisecond):   "1.02 s",
		Duration(7 * time.Second):           "7 s",
		Duration(130 * time.Second):         "2m10s",
		Duration(250 * time.Nanosecond):     "0.25 µs",
		Duration(-time.Second):              "-1 s",
		Seconds([]float64{1.017, 3, 131.2}): "1.02, 3, 131 s",
		List([]string{"a"}):                 "a",
		List([]string{"a", "b", "c"}):       "a, b and c",
		Sentence("überall"):                 "Überall",
		Sentence(""):                        "",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
