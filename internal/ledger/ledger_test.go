package ledger_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func sysctl(name string) resource.ID { return resource.ID{Kind: resource.KindSysctl, Name: name} }

func open(t *testing.T, dir string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRecordsOutliveTheProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	l := open(t, dir)
	must(t, l.Record(sysctl("net/b"), "0"))
	must(t, l.Record(sysctl("net/a"), ""))
	must(t, l.Record(sysctl("net/b"), "1")) // the first prior value counts
	must(t, l.Record(resource.ID{Kind: resource.KindIPVSService, Name: "tcp 192.0.2.1:80"}, ""))
	must(t, l.Record(sysctl("net/c"), "5"))
	must(t, l.Forget(sysctl("net/c"), sysctl("net/never")))

	l = open(t, dir)
	if diff := cmp.Diff([]resource.ID{sysctl("net/a"), sysctl("net/b")}, l.IDs(resource.KindSysctl)); diff != "" {
		t.Errorf("IDs (-want +got):\n%s", diff)
	}
	if prior, ok := l.Prior(sysctl("net/b")); prior != "0" || !ok {
		t.Errorf("Prior = %q, %v, want 0, true", prior, ok)
	}
	if l.Has(sysctl("net/c")) {
		t.Error("Has(forgotten) = true")
	}
	info, err := os.Stat(filepath.Join(dir, ledger.Name))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, want 0600", info.Mode().Perm())
	}
}

func TestWhatIsGoneIsForgottenWithTheNextWrite(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	must(t, l.Record(sysctl("net/a"), "1"))
	must(t, l.Record(sysctl("net/b"), "2"))
	l.Retain(resource.KindSysctl, func(name string) bool { return name == "net/b" })
	if l.Has(sysctl("net/a")) || !l.Has(sysctl("net/b")) {
		t.Errorf("IDs = %v, want net/b alone", l.IDs(resource.KindSysctl))
	}
	must(t, l.Record(sysctl("net/c"), "3"))
	if again := open(t, dir); again.Has(sysctl("net/a")) || len(again.IDs(resource.KindSysctl)) != 2 {
		t.Errorf("on disk are %v, want net/b and net/c", again.IDs(resource.KindSysctl))
	}
}

func TestAnotherBootIsAnEmptyLedger(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ledger.Name)
	old := `{"version":1,"boot_id":"another","network_namespace":"net:[1]"}` + "\n" + `{"kind":"sysctl","name":"net/a"}` + "\n"
	must(t, os.WriteFile(path, []byte(old), 0o600))
	l := open(t, dir)
	if ids := l.IDs(resource.KindSysctl); len(ids) != 0 {
		t.Errorf("IDs = %v, want none", ids)
	}
	if b, _ := os.ReadFile(path); string(b) != old {
		t.Error("Open changed the file: reading must not write")
	}
	must(t, l.Record(sysctl("net/b"), ""))
	if b, _ := os.ReadFile(path + ".old"); string(b) != old {
		t.Errorf("%s.old = %q, want the old ledger", ledger.Name, b)
	}
	if !open(t, dir).Has(sysctl("net/b")) {
		t.Error("the new record is not on disk")
	}
}

func TestAnotherNamespaceIsAnEmptyLedger(t *testing.T) {
	ns := nstest.New(t)
	dir := t.TempDir()
	must(t, open(t, dir).Record(sysctl("net/a"), ""))
	ns.Do(func() {
		if open(t, dir).Has(sysctl("net/a")) {
			t.Error("the record holds in another network namespace")
		}
	})
}

func TestBadFilesAreErrors(t *testing.T) {
	for content, want := range map[string]string{
		"{\"version\":2}\n":               "version is 2",
		"{}\n":                            "version is 0",
		"":                                "no header",
		"{\"version\":1}":                 "no header",
		"[]\n":                            "line 1: json: cannot unmarshal",
		"{\"version\":1}\n{\"kind\":1}\n": "line 2: json: cannot unmarshal",
		"{\"version\":1}\n{\"kind\":\"sysctl\"}\n":               "line 2: an entry without kind or name",
		"{\"version\":1}\n\x00\n":                                "line 2: invalid character",
		"{\"version\":1}\n" + strings.Repeat("x", 100000) + "\n": "line 2: too long",
	} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, ledger.Name), []byte(content), 0o600))
		if _, err := ledger.Open(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%.80q) = %v, want an error with %q", content, err, want)
		}
	}
}

func TestAFailedWriteLeavesNoRecord(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	l := open(t, filepath.Join(dir, "missing"))
	must(t, os.Symlink("file/below", filepath.Join(dir, "missing")))
	if err := l.Record(sysctl("net/a"), ""); err == nil || l.Has(sysctl("net/a")) {
		t.Errorf("Record = %v and Has = %v, want an error and no record", err, l.Has(sysctl("net/a")))
	}
}

func TestConcurrentUse(t *testing.T) {
	l := open(t, t.TempDir())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 8 {
				id := sysctl(fmt.Sprintf("net/%d/%d", i, j))
				if err := l.Record(id, ""); err != nil || !l.Has(id) {
					t.Errorf("Record(%s) = %v", id, err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(l.IDs(resource.KindSysctl)); n != 64 {
		t.Errorf("%d records, want 64", n)
	}
}

func TestALineBrokenOffDoesNotCount(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	must(t, l.Record(sysctl("net/a"), ""))
	path := filepath.Join(dir, ledger.Name)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(`{"kind":"sysctl","name":"net/b"}`)
	must(t, err)
	must(t, f.Close())
	l = open(t, dir)
	if l.Has(sysctl("net/b")) || !l.Has(sysctl("net/a")) {
		t.Errorf("IDs = %v, want net/a alone", l.IDs(resource.KindSysctl))
	}
	must(t, l.Record(sysctl("net/c"), ""))
	if ids := open(t, dir).IDs(resource.KindSysctl); len(ids) != 2 {
		t.Errorf("IDs = %v, want net/a and net/c", ids)
	}
}

func TestAFileThatSomebodyRemovedIsMadeAgain(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	must(t, l.Record(sysctl("net/a"), ""))
	must(t, os.Remove(filepath.Join(dir, ledger.Name)))
	must(t, l.Record(sysctl("net/b"), ""))
	if ids := open(t, dir).IDs(resource.KindSysctl); len(ids) != 2 {
		t.Errorf("IDs = %v, want both", ids)
	}
}

func TestTheFileDoesNotGrowForever(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	must(t, l.Record(sysctl("net/kept"), "1"))
	for range 10000 {
		must(t, l.Record(sysctl("net/a"), ""))
		must(t, l.Forget(sysctl("net/a")))
	}
	info, err := os.Stat(filepath.Join(dir, ledger.Name))
	must(t, err)
	if info.Size() > 500_000 {
		t.Errorf("size = %d after 20000 changes, want at most 500000", info.Size())
	}
	if got := open(t, dir).IDs(resource.KindSysctl); len(got) != 1 {
		t.Errorf("IDs = %v, want net/kept", got)
	}
}

func TestManyRecordsAreOneWrite(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	must(t, l.Record(sysctl("net/0"), "prior"))
	ids := []resource.ID{sysctl("net/0"), sysctl("net/\"quoted\" \\ \x01 é"), {Kind: resource.KindIPVSServer, Name: "tcp [2001:db8::1]:80 -> <&>"}}
	for i := range 2000 {
		ids = append(ids, resource.ID{Kind: resource.KindIPVSService, Name: fmt.Sprintf("tcp 192.0.2.1:%d", i)})
	}
	for _, c := range []struct{ ids, fresh []resource.ID }{{ids, ids[1:]}, {ids, nil}, {nil, nil}} {
		fresh, err := l.RecordAll(slices.Clone(c.ids))
		must(t, err)
		if !slices.Equal(fresh, c.fresh) {
			t.Errorf("RecordAll says that %d objects are new, want %d", len(fresh), len(c.fresh))
		}
	}
	again := open(t, dir)
	for _, id := range ids {
		if !l.Has(id) || !again.Has(id) {
			t.Fatalf("%s is not recorded", id)
		}
	}
	if prior, _ := again.Prior(ids[0]); prior != "prior" {
		t.Errorf("Prior = %q, want what was recorded first", prior)
	}
	if n := again.Count(resource.KindIPVSService); n != 2000 {
		t.Errorf("Count = %d, want 2000", n)
	}
	must(t, l.ForgetIf(resource.KindIPVSService, func(name string) bool { return name != "tcp 192.0.2.1:7" }))
	if ids := open(t, dir).IDs(resource.KindIPVSService); len(ids) != 1 || ids[0].Name != "tcp 192.0.2.1:7" {
		t.Errorf("IDs = %v, want port 7 alone", ids)
	}
}

func TestAllOfManyAreRecordedOrNone(t *testing.T) {
	l := open(t, t.TempDir())
	if _, err := l.RecordAll([]resource.ID{sysctl("net/a"), sysctl("")}); err == nil || l.Has(sysctl("net/a")) {
		t.Errorf("RecordAll = %v and Has = %v, want an error and no record", err, l.Has(sysctl("net/a")))
	}
}

func TestAmendReplacesWhatIsRecorded(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	for _, prior := range []string{"1", "2", "2", ""} {
		must(t, l.Amend(sysctl("net/a"), prior))
		if got, ok := open(t, dir).Prior(sysctl("net/a")); got != prior || !ok {
			t.Errorf("Prior = %q, %v, want %q, true", got, ok, prior)
		}
	}
}

func TestANameThatIsTooLongIsRefused(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	must(t, l.Record(sysctl("net/a"), ""))
	for _, name := range []string{"", strings.Repeat("a", 100000)} {
		if err := l.Record(sysctl(name), ""); err == nil {
			t.Errorf("Record of a name of %d bytes succeeded, want an error", len(name))
		}
	}
	must(t, l.Record(sysctl("net/b"), ""))
	if ids := open(t, dir).IDs(resource.KindSysctl); len(ids) != 2 {
		t.Errorf("IDs = %v, want net/a and net/b", ids)
	}
}
