package words

import "testing"

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		Plural(1, "flow", "flows"):          "1 flow",
		Plural(2000, "flow", "flows"):       "2,000 flows",
		Of(41, 60, "try", "tries"):          "41 of 60 tries (68 %)",
		Of(60, 60, "try", "tries"):          "all 60 tries",
		Of(1, 1, "try", "tries"):            "the only try",
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
