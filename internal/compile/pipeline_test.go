package compile

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/gitsource/gittest"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// cluster is a small cluster file with one thing to change.
func cluster(weight int) string {
	return fmt.Sprintf(`cluster "web" {
  node "ka1" { address = "192.0.2.1" }
  node "ka2" { address = "192.0.2.2" }
  node "rs1" { address = "192.0.2.11" }
}

vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 10
  priority          = { ka1 = 150, ka2 = 100 }
  addresses         = ["192.0.2.100/24"]
}

pool "web" {
  port = 80
  server "rs1" {
    address = "192.0.2.11"
    weight  = %d
  }
}

virtual_server "http" {
  on      = vrrp_instance.web
  address = "192.0.2.100"
  forward = "dr"
  port    = 80
  pool    = pool.web
}
`, weight)
}

// config is a host that follows r from the commit trusted.
func config(t *testing.T, r gittest.Repo, trusted string) spec.Agent {
	t.Helper()
	return spec.Agent{
		NodeName: "ka1", DataDir: filepath.Join(t.TempDir(), "data"), TrustedFrom: trusted, RepoPolicyDir: "policies",
		Source: spec.GitSource{Name: "main", URL: "file://" + r.Dir, Branch: "main", Path: "clusters/web", Timeout: 20 * time.Second},
	}
}

const file = "clusters/web/cluster.hcl"

func newPipeline(cfg spec.Agent) *Pipeline { return New(cfg, slog.New(slog.DiscardHandler)) }

func next(t *testing.T, p *Pipeline, last *revision.Revision) *revision.Revision {
	t.Helper()
	rev, err := p.Next(t.Context(), last)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// refused runs Next and returns the refusal that it must give.
func refused(t *testing.T, p *Pipeline, last *revision.Revision, stage string, want ...string) *revision.Refused {
	t.Helper()
	rev, err := p.Next(t.Context(), last)
	var r *revision.Refused
	if !errors.As(err, &r) || r.Stage != stage {
		t.Fatalf("Next = %v, %v, want it refused at %s", rev, err, stage)
	}
	for _, w := range want {
		if !strings.Contains(r.Reason, w) {
			t.Errorf("reason %q, want it to say %q", r.Reason, w)
		}
	}
	return r
}

func TestAPushBecomesARevision(t *testing.T) {
	r := gittest.New(t)
	r.Write("clusters/web/policies/own.policy.hcl", "# none\n")
	first := r.CommitFile(file, cluster(1))
	p := newPipeline(config(t, r, first))
	one := next(t, p, nil)
	if one.Commit != first || one.Ref != "main" || one.Subject != "Change "+file || one.Cluster.Node != "ka1" ||
		!strings.HasPrefix(one.Digest, "sha256:") || len(one.Policies) != 1 {
		t.Errorf("Next = %+v", one)
	}
	if again := next(t, p, nil); again != one {
		t.Errorf("Next of the same tip = %p, want the same answer %p", again, one)
	}
	if rev := next(t, p, one); rev != nil {
		t.Errorf("Next after the tip was taken = %v, want nothing", rev)
	}
	second := r.CommitFile(file, cluster(2))
	two := next(t, p, one)
	if two == nil || two.Commit != second || two.Digest == one.Digest {
		t.Fatalf("Next = %+v, want %s with another digest", two, second)
	}
	r.CommitFile("README.md", "elsewhere")
	if rev := next(t, p, two); rev != nil {
		t.Errorf("Next after a change elsewhere = %+v, want nothing", rev)
	}
	r.CommitFile(file, cluster(2)+"\n# a remark\n")
	if rev := next(t, p, two); rev != nil {
		t.Errorf("Next after a remark = %+v, want nothing: the cluster is the same", rev)
	}
	r.Git("reset", "-q", "--hard", second)
	refused(t, p, two, "select", "rewound", second[:12])
	policy := r.CommitFile("clusters/web/policies/own.policy.hcl", "# still none\n")
	refused(t, p, two, "select", "rewritten", policy[:12])
}

func TestARestartLooksAgain(t *testing.T) {
	r := gittest.New(t)
	first := r.CommitFile(file, cluster(1))
	cfg := config(t, r, first)
	one := next(t, newPipeline(cfg), nil)
	if rev := next(t, newPipeline(cfg), one); rev != nil {
		t.Errorf("Next after a restart = %+v, want nothing new", rev)
	}
	cfg.NodeName = "ka2"
	p := newPipeline(cfg)
	rev := next(t, p, one)
	if rev == nil || rev.Commit != first || rev.Cluster.Node != "ka2" {
		t.Fatalf("Next under another node name = %+v, want the same commit for ka2", rev)
	}
	if rev := next(t, p, rev); rev != nil {
		t.Errorf("Next = %+v, want nothing new", rev)
	}
	second := r.CommitFile(file, cluster(2))
	if rev := next(t, newPipeline(cfg), one); rev == nil || rev.Commit != second {
		t.Errorf("Next = %+v, want %s", rev, second)
	}
}

func TestFirstContact(t *testing.T) {
	r := gittest.New(t)
	first := r.CommitFile(file, cluster(1))
	cfg := config(t, r, "")
	refused(t, newPipeline(cfg), nil, "select", "first contact", fmt.Sprintf("trusted_from = %q", first))
	cfg.TrustedFrom = "1234567"
	refused(t, newPipeline(cfg), nil, "select", "does not descend")
	cfg.TrustedFrom = first
	cfg.NodeName = "ka11"
	refused(t, newPipeline(cfg), nil, "compile", `"ka11"`, `Did you mean "ka1"?`)
}

func TestUnreachableIsNoRefusal(t *testing.T) {
	r := gittest.New(t)
	first := r.CommitFile(file, cluster(1))
	cfg := config(t, r, first)
	p := newPipeline(cfg)
	one := next(t, p, nil)
	hidden := r.Dir + ".away"
	if err := os.Rename(r.Dir, hidden); err != nil {
		t.Fatal(err)
	}
	rev, err := p.Next(t.Context(), one)
	var no *revision.Refused
	if rev != nil || err == nil || errors.As(err, &no) || !strings.Contains(err.Error(), "repository not found") {
		t.Errorf("Next without a remote = %v, %v, want an error that is no refusal", rev, err)
	}
	if err := os.Rename(hidden, r.Dir); err != nil {
		t.Fatal(err)
	}
	if rev := next(t, p, one); rev != nil {
		t.Errorf("Next = %+v, want nothing new", rev)
	}
	for name, change := range map[string]func(*spec.GitSource){
		"branch": func(s *spec.GitSource) { s.Branch = "prod" },
		"name":   func(s *spec.GitSource) { s.Name = "../x" },
		"url":    func(s *spec.GitSource) { s.URL = "ext::id" },
	} {
		c := cfg
		change(&c.Source)
		if rev, err := newPipeline(c).Next(t.Context(), one); err == nil || errors.As(err, &no) {
			t.Errorf("Next with a wrong %s = %v, %v, want an error that is no refusal", name, rev, err)
		}
	}
}

func TestADamagedCopyIsRenewed(t *testing.T) {
	r := gittest.New(t)
	first := r.CommitFile(file, cluster(1))
	p := newPipeline(config(t, r, first))
	next(t, p, nil)
	packs, err := filepath.Glob(p.repository() + "/objects/pack/*.pack")
	if err != nil || len(packs) != 1 {
		t.Fatalf("packs %q, %v", packs, err)
	}
	if err := os.Chmod(packs[0], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(packs[0], 40); err != nil {
		t.Fatal(err)
	}
	p = newPipeline(p.cfg)
	if rev := next(t, p, nil); rev == nil || rev.Commit != first {
		t.Errorf("Next with a damaged copy = %+v, want %s", rev, first)
	}
}

// TestACauseOnThisHostDoesNotLast has a verify child that fails for no reason in the commit.
func TestACauseOnThisHostDoesNotLast(t *testing.T) {
	r := gittest.New(t)
	cfg := config(t, r, r.CommitFile(file, cluster(1)))
	cfg.Source.Path = probeName
	p := newPipeline(cfg)
	refused(t, p, nil, "verify", "Uid:")
	if p.answer.until.IsZero() {
		t.Error("the refusal counts until another commit comes")
	}
	cfg.Source.Path = "nowhere"
	p = newPipeline(cfg)
	refused(t, p, nil, "verify", "no folder")
	if !p.answer.until.IsZero() {
		t.Error("the refusal of what is in the commit passes with time")
	}
}
