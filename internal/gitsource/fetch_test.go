package gitsource

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"

	"github.com/hareconcile/hareconcile/internal/gitsource/gittest"
)

func TestFetchFollowsTheBranch(t *testing.T) {
	w := gittest.New(t)
	first := w.CommitFile("cluster.hcl", "one")
	c := source(t, w)
	if got := fetch(t, c); got != first {
		t.Fatalf("Fetch = %s, want %s", got, first)
	}
	if got := fetch(t, c); got != first {
		t.Errorf("Fetch of nothing new = %s, want %s", got, first)
	}
	second := w.CommitFile("cluster.hcl", "two")
	w.Git("tag", "-a", "-m", "x", "v1")
	if got := fetch(t, c); got != second {
		t.Errorf("Fetch = %s, want %s", got, second)
	}
	if tags, _ := filepath.Glob(c.Dir + "/refs/tags/*"); len(tags) != 0 {
		t.Errorf("Fetch brought tags %q", tags)
	}
	w.Git("reset", "-q", "--hard", first)
	if got := fetch(t, c); got != first {
		t.Errorf("Fetch of a rewound branch = %s, want %s: judging is Select's business", got, first)
	}
	c.URL = w.Dir
	if got := fetch(t, c); got != first {
		t.Errorf("Fetch(%s) = %s, want %s", c.URL, got, first)
	}
}

func TestFetchOfABareRepositoryWithGarbageCollection(t *testing.T) {
	w := gittest.New(t)
	w.CommitFile("cluster.hcl", strings.Repeat("a line\n", 2000))
	bare := filepath.Join(t.TempDir(), "origin.git")
	w.Git("clone", "-q", "--bare", w.Dir, bare)
	w.Git("remote", "add", "origin", bare)
	c := source(t, w)
	c.URL = "file://" + bare
	fetch(t, c)
	for k := range 5 {
		w.CommitFile("cluster.hcl", strings.Repeat("a line\n", 2000)+fmt.Sprint(k))
	}
	w.Git("push", "-q", "origin", "main")
	w.Git("-C", bare, "gc", "-q")
	if got, want := fetch(t, c), w.Git("rev-parse", "HEAD"); got != want {
		t.Errorf("Fetch = %s, want %s", got, want)
	}
}

func TestFetchSaysWhatIsWrong(t *testing.T) {
	w := gittest.New(t)
	empty := source(t, w)
	fetchError(t, empty, "the repository has no commit yet")
	w.CommitFile("cluster.hcl", "one")
	c := source(t, w)
	c.Branch = "prod"
	fetchError(t, c, `there is no branch "prod"`)
	c.Branch = "../x"
	fetchError(t, c, "is no branch name")
	c = source(t, w)
	c.URL = "file:///nonexistent/repository.git"
	fetchError(t, c, "repository not found")
	for url, want := range map[string]string{
		"git://example.org/x":           `scheme "git" is not supported`,
		"http://example.org/x":          `scheme "http" is not supported`,
		"ext::sh -c id":                 "no file, ssh or https address",
		"relative/path":                 "no file, ssh or https address",
		"file://host/path":              "file:// needs an absolute path",
		"https://u:hunter2@example.org": "put it into token_file",
		"https://":                      "needs a host",
		"ssh://git@127.0.0.1/x":         "needs identity_file",
		"git@127.0.0.1:x.git":           "needs identity_file",
		"https://%zz":                   "cannot be parsed",
	} {
		c := source(t, w)
		c.URL = url
		fetchError(t, c, want)
	}
}

func TestFetchRepairsADamagedCopy(t *testing.T) {
	w := gittest.New(t)
	want := w.CommitFile("cluster.hcl", "one")
	damage := map[string]func(dir string) error{
		"no objects": func(dir string) error { return os.RemoveAll(dir + "/objects") },
		"truncated pack": func(dir string) error {
			packs, err := filepath.Glob(dir + "/objects/pack/*.pack")
			if err != nil || len(packs) != 1 {
				return fmt.Errorf("packs %q, %v", packs, err)
			}
			return errors.Join(os.Chmod(packs[0], 0o644), os.Truncate(packs[0], 12))
		},
		"torn ref":  func(dir string) error { return os.Truncate(dir+"/refs/heads/main", 7) },
		"empty ref": func(dir string) error { return os.Truncate(dir+"/refs/heads/main", 0) },
		"empty keep ref": func(dir string) error {
			return errors.Join(os.MkdirAll(dir+"/refs/hareconcile", 0o755), os.WriteFile(dir+"/"+string(keepRef), nil, 0o644))
		},
		"broken head": func(dir string) error { return os.WriteFile(dir+"/HEAD", []byte("junk"), 0o644) },
		"no folder":   func(dir string) error { return os.RemoveAll(dir) },
		"half made":   func(dir string) error { return os.WriteFile(dir+"/objects/pack/tmp_pack_1", []byte("PACK"), 0o600) },
		"broken config": func(dir string) error {
			return os.WriteFile(dir+"/config", []byte("[core\n"), 0o644)
		},
	}
	for name, do := range damage {
		t.Run(name, func(t *testing.T) {
			c := source(t, w)
			fetch(t, c)
			if err := do(c.Dir); err != nil {
				t.Fatal(err)
			}
			tip := fetch(t, c)
			if _, err := Select(c.Dir, Request{Tip: tip, TrustedFrom: want}); err != nil { // not seen while fetching; the caller asks for a new copy
				c.Fresh = true
				tip = fetch(t, c)
			}
			if s := selected(t, c.Dir, Request{Tip: tip, TrustedFrom: want}); s.Commit != want {
				t.Errorf("after repair Select = %+v, want %s", s, want)
			}
			if left, _ := filepath.Glob(c.Dir + "/objects/pack/tmp_*"); len(left) != 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestFetchKeepsTheCopyWhenTheRemoteIsGone(t *testing.T) {
	w := gittest.New(t)
	first := w.CommitFile("cluster.hcl", "one")
	c := source(t, w)
	fetch(t, c)
	c.Fresh = true
	c.URL = "file:///nonexistent.git"
	fetchError(t, c, "not found")
	if s := selected(t, c.Dir, Request{Tip: first, TrustedFrom: first}); s.Commit != first {
		t.Errorf("Select = %+v, want the old copy intact", s)
	}
}

func TestFetchMakesOnePackOfMany(t *testing.T) {
	w := gittest.New(t)
	lost := w.CommitFile("cluster.hcl", "lost")
	c := source(t, w)
	c.Keep = lost
	fetch(t, c)
	w.Git("checkout", "-q", "--orphan", "other")
	w.CommitFile("cluster.hcl", "0")
	w.Git("branch", "-q", "-M", "main")
	var tip string
	for k := range maxPacks + 1 {
		w.CommitFile("cluster.hcl", fmt.Sprint("content ", k))
		tip = fetch(t, c)
	}
	packs, err := filepath.Glob(c.Dir + "/objects/pack/*.pack")
	if err != nil || len(packs) > 3 {
		t.Errorf("%d packs, %v, want all but the last two packed into one", len(packs), err)
	}
	s := selected(t, c.Dir, Request{Tip: tip, Base: lost})
	if s.Rejected == nil || !strings.Contains(s.Rejected.Reason, "rewritten") {
		t.Errorf("Select = %+v, want the kept commit to be known and the branch rewritten", s)
	}
}

// TestRepackingHoldsNoFetchUp has a repacking that never ends.
func TestRepackingHoldsNoFetchUp(t *testing.T) {
	w := gittest.New(t)
	w.CommitFile("cluster.hcl", "one")
	c := source(t, w)
	fetch(t, c)
	packs, err := filepath.Glob(c.Dir + "/objects/pack/*")
	if err != nil {
		t.Fatal(err)
	}
	for k := range maxPacks - 1 {
		for _, name := range packs {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(fmt.Sprintf("%s/objects/pack/pack-%040x%s", c.Dir, k, filepath.Ext(name)), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	calls, over := make(chan int, 9), make(chan struct{})
	defer close(over)
	f := fetcher{config: c, options: git.FetchOptions{
		RemoteURL: c.URL, RefSpecs: []config.RefSpec{"+refs/heads/main:refs/heads/main"}, Tags: git.NoTags,
	}, pack: func(*git.Repository, *git.RepackConfig) error {
		calls <- 1
		<-over
		return nil
	}}
	run := func(tip string) (repacked int) {
		before := len(calls)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if got, err := f.run(ctx); err != nil || got != tip {
			t.Errorf("run = %s, %v, want %s", got, err, tip)
		}
		return len(calls) - before
	}
	tip := w.CommitFile("cluster.hcl", "two")
	if n := run(tip); n != 1 {
		t.Errorf("with %d packs it repacked %d times, want once", maxPacks, n)
	}
	if n := run(tip); n != 0 {
		t.Errorf("with nothing new it repacked %d times, want never", n)
	}
}

func TestFetchGivesUpOnASilentRemote(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	w := gittest.New(t)
	keys := newKeys(t)
	for _, c := range []Config{
		{URL: "https://" + l.Addr().String() + "/x.git"},
		{URL: "ssh://git@" + l.Addr().String() + "/x.git", Identity: keys.identity, KnownHosts: keys.knownHosts(l.Addr().String())},
	} {
		c.Branch, c.Dir, c.Timeout = "main", source(t, w).Dir, 300*time.Millisecond
		start := time.Now()
		fetchError(t, c, "no answer within 300ms")
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("Fetch(%s) gave up after %v", c.URL, d)
		}
	}
	c := source(t, w)
	c.URL = "https://127.0.0.1:1/x.git"
	fetchError(t, c, "connection refused")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.URL = "https://" + l.Addr().String() + "/x.git"
	if _, err := Fetch(ctx, c, func(string) {}); err == nil {
		t.Error("Fetch with a cancelled context succeeded")
	}
}
