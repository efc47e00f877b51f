package exhibit

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/spikebox/spikebox/analyzer/cases"
	"github.com/spikebox/spikebox/format"
	"github.com/spikebox/spikebox/format/member"
)

// What is shown of a member that somebody has changed is said to be damaged, and what is whole is not.
func TestEditedMembersAreDamage(t *testing.T) {
	shown := 0
	for _, k := range Kinds {
		for _, edited := range []bool{false, true} {
			c, err := cases.Find("../../testdata/cases", "listen-overflow")
			if err != nil {
				t.Fatal(err)
			}
			name := k.Member
			if k.show == nil {
				name = member.SysctlMember("net/core/somaxconn")
			}
			if edited {
				c.Damage = cases.Damage{Edit: name}
			}
			path, err := c.Build(t.TempDir())
			if err != nil {
				t.Logf("%s: %v", k.Name, err) // the case has no such member
				continue
			}
			r, err := format.Open(path, format.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			err = k.Show(io.Discard, r, &Choice{})
			r.Close()
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			shown++
			if damage := (*format.DamageError)(nil); errors.As(err, &damage) != edited || !edited && err != nil {
				t.Errorf("%s, edited %v: %v", k.Name, edited, err)
			}
		}
	}
	if shown < 4 {
		t.Errorf("%d members were shown", shown)
	}
}
