package hook

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/compile"
	"github.com/hareconcile/hareconcile/internal/gitsource/gittest"
	"github.com/hareconcile/hareconcile/internal/jail"
	"github.com/hareconcile/hareconcile/internal/nstest"
)

// TestMain lets the test binary be the children that judge.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "internal" {
		os.Exit(jail.Main(os.Args[2], compile.Stages()))
	}
	os.Exit(m.Run())
}

const cluster = `
cluster "web" {
  node "ka1" { address = "192.0.2.10" }
}
`

var (
	one, two = strings.Repeat("1", 40), strings.Repeat("2", 40)
	none     = strings.Repeat("0", 40)
)

func TestUpdates(t *testing.T) {
	got, err := Updates(strings.NewReader(one + " " + two + " refs/heads/main\n" + none + " " + one + " refs/tags/v1\n" + one + " " + none + " refs/heads/a b\n"))
	want := []Update{{one, two, "refs/heads/main"}, {"", one, "refs/tags/v1"}, {one, "", "refs/heads/a b"}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("Updates: %v (-want +got):\n%s", err, d)
	}
	for _, bad := range []string{
		"main\n", one + " " + two + "\n", one + " " + two + " main\n", one[1:] + " " + two + " refs/heads/main\n", "--all " + two + " refs/heads/main\n",
		strings.Repeat("x", maxLine+1), strings.Repeat(one+" "+two+" refs/heads/main\n", maxUpdates+1),
	} {
		if us, err := Updates(strings.NewReader(bad)); err == nil {
			t.Errorf("Updates(%.50q) = %d, want an error", bad, len(us))
		}
	}
}

func FuzzUpdates(f *testing.F) {
	f.Add(one + " " + two + " refs/heads/main\n")
	f.Add(none + " " + one + " refs/tags/v1\n" + one + " " + none + " refs/heads/x\n")
	f.Add("\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		us, err := Updates(strings.NewReader(text))
		if err != nil {
			return
		}
		var back strings.Builder
		for _, u := range us {
			if strings.HasPrefix(u.Old, "-") || strings.HasPrefix(u.New, "-") || !strings.HasPrefix(u.Ref, "refs/") {
				t.Errorf("%q was taken for an update", u)
			}
			for _, h := range []string{u.Old, u.New} {
				if h == "" {
					h = none
				}
				back.WriteString(h + " ")
			}
			back.WriteString(u.Ref + "\n")
		}
		again, err := Updates(strings.NewReader(back.String()))
		if err != nil || cmp.Diff(us, again) != "" {
			t.Errorf("%q comes back as %q, %v", us, again, err)
		}
	})
}

// judged returns what is said of a push to a repository with two commits, of which old is a
// good cluster.
func judged(t *testing.T, j Judge, us ...Update) ([]Verdict, error) {
	t.Helper()
	nstest.Need(t, "git")
	t.Setenv("GIT_CONFIG_COUNT", "1") // the repository is the test's, whoever runs it
	t.Setenv("GIT_CONFIG_KEY_0", "safe.directory")
	t.Setenv("GIT_CONFIG_VALUE_0", "*")
	return j.Judge(t.Context(), us)
}

func TestJudge(t *testing.T) {
	r := gittest.New(t)
	good := r.CommitFile("cluster.hcl", cluster)
	bad := r.CommitFile("cluster.hcl", cluster+"bogus {}\n")
	r.Git("rm", "-q", "cluster.hcl")
	without := r.Commit("Remove it")
	file := r.Git("rev-parse", good+":cluster.hcl")
	j := Judge{Dir: r.Dir, Folders: []string{""}}
	for name, c := range map[string]struct {
		Update
		said int    // verdicts
		why  string // of a refusal, or of its first diagnostic; "" if the push is good
	}{
		"a new branch":               {Update{"", good, "refs/heads/main"}, 1, ""},
		"a bad change":               {Update{good, bad, "refs/heads/main"}, 1, "Unknown block"},
		"a repair":                   {Update{bad, good, "refs/heads/main"}, 1, "nodes take no rewritten history"},
		"a cluster that goes":        {Update{bad, without, "refs/heads/main"}, 1, "cluster.hcl is gone"},
		"a branch without a cluster": {Update{"", without, "refs/heads/notes"}, 0, ""},
		"a branch that goes":         {Update{good, "", "refs/heads/main"}, 0, ""},
		"a tag":                      {Update{"", bad, "refs/tags/v1"}, 1, "Unknown block"},
		"a tag of a file":            {Update{"", file, "refs/tags/v2"}, 0, ""},
		"a tag that moves":           {Update{bad, good, "refs/tags/v3"}, 1, ""},
		"a note, which is no branch": {Update{"", bad, "refs/notes/commits"}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			vs, err := judged(t, j, c.Update)
			if err != nil || len(vs) != c.said {
				t.Fatalf("%d verdicts, %v; want %d", len(vs), err, c.said)
			}
			for _, v := range vs {
				why := ""
				if v.Err != nil {
					why = v.Err.Error()
				} else if v.Cluster == nil {
					why = v.Diagnostics[0].Summary
				}
				if v.Refuses() != (c.why != "") || !strings.Contains(why, c.why) {
					t.Errorf("refuses = %t: %q, want %q", v.Refuses(), why, c.why)
				}
			}
		})
	}
}

// TestJudgeOfAFolder has two clusters, a merge, an annotated tag, and much that is no cluster's.
func TestJudgeOfAFolder(t *testing.T) {
	r := gittest.New(t)
	base := r.CommitFile("clusters/edge/cluster.hcl", cluster+"include {\n  paths = [\"conf.d/*.hcl\"]\n}\n")
	r.CommitFile("clusters/edge/conf.d/local.hcl", "locals {\n  a = 1\n}\n")
	r.Git("checkout", "-q", "-b", "side", base)
	r.CommitFile("clusters/core/cluster.hcl", cluster+"bogus {}\n")
	r.Git("checkout", "-q", "main")
	r.CommitFile("large/file", strings.Repeat("no cluster's\n", 1<<16))
	r.Git("merge", "-q", "-m", "Merge side", "side")
	r.Git("tag", "-a", "-m", "Release", "v1")
	tag, tip := r.Git("rev-parse", "v1"), r.Git("rev-parse", "main")
	j := Judge{Dir: r.Dir, Folders: []string{"clusters/edge", "/clusters/core/", "clusters/none"}}
	vs, err := judged(t, j, Update{base, tip, "refs/heads/main"}, Update{"", tag, "refs/tags/v1"})
	if err != nil || len(vs) != 4 {
		t.Fatalf("%d verdicts, %v; want one for each of two clusters in two refs", len(vs), err)
	}
	for k, v := range vs {
		want := []string{"clusters/edge", "clusters/core"}[k%2]
		if v.Folder != want || v.New != tip || v.Err != nil || v.Refuses() != (want == "clusters/core") {
			t.Errorf("verdict %d = %+v, want a refusal of clusters/core alone", k, v)
		}
	}
}

func TestJudgeGivesUp(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	r := gittest.New(t)
	good := r.CommitFile("cluster.hcl", cluster)
	j := Judge{Dir: r.Dir, Folders: []string{""}}
	var many []Update
	for range maxTips + 1 {
		many = append(many, Update{"", good, "refs/heads/main"})
	}
	if _, err := judged(t, j, many...); err == nil || !strings.Contains(err.Error(), "push fewer at once") {
		t.Errorf("Judge of %d branches = %v, want a refusal", len(many), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Judge(ctx, many[:1]); err == nil {
		t.Error("Judge after its time is over gave no error")
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "hareconcile-hook-*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %q, %v", left, err)
	}
}
