package gitsource

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/gitsource/gittest"
)

func selected(t *testing.T, dir string, q Request) *Selection {
	t.Helper()
	s, err := Select(dir, q)
	if err != nil {
		t.Fatalf("Select(%+v): %v", q, err)
	}
	return s
}

func rejected(t *testing.T, dir string, q Request, stage string, want ...string) {
	t.Helper()
	s := selected(t, dir, q)
	if s.Rejected == nil || s.Rejected.Stage != stage {
		t.Errorf("Select(%+v) = %+v, want it rejected at %s", q, s, stage)
		return
	}
	for _, w := range want {
		if !strings.Contains(s.Rejected.Reason, w) {
			t.Errorf("reason %q, want it to say %q", s.Rejected.Reason, w)
		}
	}
	if s.Files != nil {
		t.Errorf("a rejected commit gave files")
	}
}

func TestSelectReadsTheFolder(t *testing.T) {
	w := gittest.New(t)
	w.Write("README.md", "not read")
	w.Write("clusters/web/cluster.hcl", "c")
	w.Write("clusters/web/conf.d/a.hcl", "a")
	w.Write("clusters/web/prod.hcvars", "v")
	w.Write("clusters/web/policies/p.hcl", "p")
	w.Write("clusters/web/haproxy.schema.json", "{}")
	w.Write("clusters/web/notes.txt", strings.Repeat("x", maxFile+1))
	tip := w.Commit("Add web\x1b[31m\n\nbody")
	c := source(t, w)
	fetch(t, c)
	s := selected(t, c.Dir, Request{Tip: tip, TrustedFrom: tip[:7], Path: "clusters/web/"})
	want := map[string][]byte{
		"cluster.hcl": []byte("c"), "conf.d/a.hcl": []byte("a"), "prod.hcvars": []byte("v"),
		"policies/p.hcl": []byte("p"), "haproxy.schema.json": []byte("{}"),
	}
	if d := cmp.Diff(want, s.Files); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	if s.Subject != "Add web\uFFFD[31m" || s.Author != "Ada <ada@example.org>" || s.Committed.IsZero() {
		t.Errorf("Select = %q by %q at %v", s.Subject, s.Author, s.Committed)
	}
	rejected(t, c.Dir, Request{Tip: tip, TrustedFrom: tip, Path: "clusters/db"}, "verify", `no folder "clusters/db"`)
	rejected(t, c.Dir, Request{Tip: tip, TrustedFrom: tip, Path: "README.md"}, "verify", `no folder "README.md"`)
}

func TestFirstContactNeedsTrustedFrom(t *testing.T) {
	w := gittest.New(t)
	first := w.CommitFile("cluster.hcl", "one")
	tip := w.CommitFile("cluster.hcl", "two")
	c := source(t, w)
	fetch(t, c)
	for _, trusted := range []string{first, first[:7], tip} {
		if s := selected(t, c.Dir, Request{Tip: tip, TrustedFrom: trusted}); s.Rejected != nil {
			t.Errorf("trusted_from %s: %v", trusted, s.Rejected)
		}
	}
	rejected(t, c.Dir, Request{Tip: tip}, "select", "first contact", fmt.Sprintf("set trusted_from = %q", tip))
	rejected(t, c.Dir, Request{Tip: first, TrustedFrom: tip}, "select", "does not descend", first[:12], tip)
	rejected(t, c.Dir, Request{Tip: tip, TrustedFrom: "1234567"}, "select", "does not descend")
	for _, bad := range []string{tip[:6], strings.ToUpper(tip), "main", tip + "0"} {
		if s := selected(t, c.Dir, Request{Tip: tip, TrustedFrom: bad}); s.Rejected == nil {
			t.Errorf("trusted_from %q was taken", bad)
		}
	}
}

func TestOnlyDescendantsFollow(t *testing.T) {
	w := gittest.New(t)
	first := w.CommitFile("cluster.hcl", "one")
	second := w.CommitFile("cluster.hcl", "two")
	c := source(t, w)
	fetch(t, c)
	if s := selected(t, c.Dir, Request{Tip: second, Base: first, TrustedFrom: first}); s.Rejected != nil || s.Unchanged {
		t.Errorf("Select of a descendant = %+v", s)
	}
	rejected(t, c.Dir, Request{Tip: first, Base: second, TrustedFrom: first}, "select", "rewound", first[:12], second[:12])

	w.Git("reset", "-q", "--hard", first)
	forced := w.CommitFile("cluster.hcl", "other two")
	c.Keep = second
	if got := fetch(t, c); got != forced {
		t.Fatalf("Fetch = %s, want %s", got, forced)
	}
	rejected(t, c.Dir, Request{Tip: forced, Base: second, TrustedFrom: first}, "select", "rewritten", forced[:12], second[:12])
	if s := selected(t, c.Dir, Request{Tip: forced, Base: second, TrustedFrom: forced}); s.Rejected != nil {
		t.Errorf("the owner named the rewritten commit and it is refused: %v", s.Rejected)
	}

	w.Git("checkout", "-q", "--orphan", "unrelated")
	w.CommitFile("cluster.hcl", "root")
	w.Git("branch", "-q", "-M", "main")
	unrelated := fetch(t, c)
	rejected(t, c.Dir, Request{Tip: unrelated, Base: second, TrustedFrom: first}, "select", "rewritten", unrelated[:12], second[:12])
	gone := strings.Repeat("ab", 20)
	rejected(t, c.Dir, Request{Tip: unrelated, Base: gone, TrustedFrom: unrelated}, "select", "not in this repository", gone[:12])
	if _, err := Select(c.Dir, Request{Tip: gone, Base: first}); err == nil {
		t.Error("Select of a commit that is not there succeeded")
	}
}

func TestMergedBranchesFollow(t *testing.T) {
	w := gittest.New(t)
	first := w.CommitFile("cluster.hcl", "one")
	w.Git("checkout", "-q", "-b", "topic")
	w.CommitFile("conf.d/a.hcl", "a")
	w.Git("checkout", "-q", "main")
	main := w.CommitFile("conf.d/b.hcl", "b")
	w.Git("merge", "-q", "--no-ff", "-m", "Merge topic", "topic")
	c := source(t, w)
	tip := fetch(t, c)
	for _, base := range []string{first, main} {
		if s := selected(t, c.Dir, Request{Tip: tip, Base: base}); s.Rejected != nil {
			t.Errorf("merge after %s: %v", base, s.Rejected)
		}
	}
}

func TestUnchangedFolder(t *testing.T) {
	w := gittest.New(t)
	first := w.CommitFile("web/cluster.hcl", "one")
	w.CommitFile("README.md", "elsewhere")
	tip := w.CommitFile("web/notes.txt", "does not count")
	c := source(t, w)
	fetch(t, c)
	q := Request{Tip: tip, Base: first, Path: "web"}
	if s := selected(t, c.Dir, q); !s.Unchanged || s.Files != nil {
		t.Errorf("Select = %+v, want it unchanged", s)
	}
	q.Reread = true
	if s := selected(t, c.Dir, q); s.Unchanged || len(s.Files) != 1 {
		t.Errorf("Select with Reread = %+v, want the files", s)
	}
}

func TestHostileTreesAreRejected(t *testing.T) {
	tests := map[string]struct {
		make func(w gittest.Repo)
		want string
	}{
		"symlink":        {func(w gittest.Repo) { w.Link("/etc/passwd", "web/secret.hcl") }, `"secret.hcl" is a symbolic link`},
		"folder symlink": {func(w gittest.Repo) { w.Link("/etc", "web/conf.d") }, `"conf.d" is a symbolic link`},
		"submodule": {func(w gittest.Repo) {
			w.Git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("12", 20)+",web/sub")
		}, `"sub" is a submodule`},
		"huge file": {func(w gittest.Repo) { w.Write("web/big.hcl", strings.Repeat("x", maxFile+1)) }, fmt.Sprintf(`"big.hcl" has %d bytes`, maxFile+1)},
		"large tree": {func(w gittest.Repo) {
			for k := range 5 {
				w.Write(fmt.Sprintf("web/%d.hcl", k), strings.Repeat("x", maxFile))
			}
		}, fmt.Sprintf("together have more than %d bytes", maxTotal)},
		"many files": {func(w gittest.Repo) {
			for k := range maxFiles + 1 {
				w.Write(fmt.Sprintf("web/%d.hcl", k), "")
			}
		}, "more than 256 files"},
		"deep folders": {func(w gittest.Repo) { w.Write("web/"+strings.Repeat("d/", 20)+"x.hcl", "") }, "nested deeper than 8"},
		"foreign name": {func(w gittest.Repo) { w.Write("web/a\xff.hcl", "") }, "a name that no repository should have"},
		"escape":       {func(w gittest.Repo) { w.Write("web/a\x1b[2J.hcl", "") }, `"a\x1b[2J.hcl": a name that cannot be printed`},
		"C1 control":   {func(w gittest.Repo) { w.Write("web/a\u009b2J.hcl", "") }, "a name that cannot be printed"},
		"backslash":    {func(w gittest.Repo) { w.Write(`web/..\x.hcl`, "") }, "a name that no repository should have"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := gittest.New(t)
			first := w.CommitFile("web/cluster.hcl", "one")
			tt.make(w)
			if name != "submodule" {
				w.Git("add", "-A")
			}
			w.Git("commit", "-q", "-m", name)
			c := source(t, w)
			tip := fetch(t, c)
			rejected(t, c.Dir, Request{Tip: tip, Base: first, Path: "web"}, "verify", tt.want)
		})
	}
}

func TestImpossibleDatesDoNotStopACommit(t *testing.T) {
	w := gittest.New(t)
	w.Write("cluster.hcl", "one")
	w.Git("add", "-A")
	t.Setenv("GIT_COMMITTER_DATE", "@99999999999999 +0000")
	w.Git("commit", "-q", "-m", "from the year 3170843")
	c := source(t, w)
	tip := fetch(t, c)
	if s := selected(t, c.Dir, Request{Tip: tip, TrustedFrom: tip}); !s.Committed.IsZero() {
		t.Errorf("committed at %v, want no time", s.Committed)
	}
}
