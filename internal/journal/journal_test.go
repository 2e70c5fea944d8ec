package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	dir := t.TempDir()
	j := New(dir)
	now := time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)
	want := State{
		Attempt:     &Attempt{Revision: "b", Prior: "a", Deadline: now, BootID: "boot", Reverting: true, Reason: "broken"},
		Quarantined: []Quarantined{{Commit: "b", Subject: "s", Reason: "r", Time: now}},
		Suspension:  &Suspension{Reason: "r", By: "uid 0", Since: now, Until: now.Add(time.Hour)},
		History:     []Record{{Time: now, Commit: "a", Outcome: Verified}, {Time: now, Commit: "b", Outcome: RolledBack, Reason: "r"}},
	}
	for _, err := range []error{
		j.Begin(*want.Attempt), j.Quarantine(want.Quarantined), j.Suspend(want.Suspension), j.Record(want.History[0]), j.Record(want.History[1]),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(want, New(dir).Load()); d != "" {
		t.Errorf("Load (-want +got):\n%s", d)
	}
	for _, err := range []error{j.End(), j.End(), j.Quarantine(nil), j.Suspend(nil)} { // what is not there may be removed
		if err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(State{History: want.History}, New(dir).Load()); d != "" {
		t.Errorf("Load after the end (-want +got):\n%s", d)
	}
}

// TestDamage: what cannot be read is told of and counts as absent, and the rest is good.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	j := New(dir)
	if err := j.Record(Record{Commit: "a", Outcome: Verified}); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{attemptFile: `{"format_version":"1","content":{"revi`, quarantineFile: `{"format_version":"9","content":[]}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := j.Load()
	if len(s.Damaged) != 2 || s.Attempt != nil || s.Quarantined != nil || len(s.History) != 1 {
		t.Errorf("Load = %+v, want two damaged files and a line of history", s)
	}
}

func TestBounds(t *testing.T) {
	j := New(t.TempDir())
	var rs []Record
	var qs []Quarantined
	for k := range maxHistory + 7 {
		rs = append(rs, Record{Commit: fmt.Sprint(k)})
		qs = append(qs, Quarantined{Commit: fmt.Sprint(k)})
	}
	if err := j.Record(rs...); err != nil {
		t.Fatal(err)
	}
	if err := j.Quarantine(qs); err != nil {
		t.Fatal(err)
	}
	s := j.Load()
	if len(s.History) != maxHistory || s.History[0].Commit != "7" || len(s.Quarantined) != maxQuarantined || s.Quarantined[maxQuarantined-1].Commit != fmt.Sprint(maxHistory+6) {
		t.Errorf("%d records from %s on and %d in quarantine, want the newest", len(s.History), s.History[0].Commit, len(s.Quarantined))
	}
}
