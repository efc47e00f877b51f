package listing

import (
	"errors"
	"testing"
)

// All rows come in their order, however many there are, and the first error is told once.
func TestBehind(t *testing.T) {
	var got []int
	put, done := Behind(func(n *int) error {
		got = append(got, *n)
		switch *n {
		case 7:
			return errors.New("seven")
		case 9:
			return errors.New("nine")
		}
		return nil
	})
	const all = 5000
	for i := range all {
		if err := put(&i); err != nil {
			t.Fatal(err)
		}
	}
	if err := done(); err == nil || err.Error() != "seven" {
		t.Errorf("error %v, want that of row seven", err)
	}
	for i, n := range got {
		if n != i {
			t.Fatalf("row %d is %d", i, n)
		}
	}
	if len(got) != all {
		t.Errorf("%d rows of %d", len(got), all)
	}
}
