package arch

import (
	"go/ast"
	"go/token"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// pure are the packages that do no I/O and read no clock.
var pure = []string{
	"reconcile", "reconcile/resource", "reconcile/planfile", "internal/spec", "internal/vrrp", "internal/bfd", "internal/check", "internal/check/due", "internal/check/watch", "internal/check/http1", "internal/haproxy", "internal/rollout", "internal/pace",
}

var (
	impure = []string{"os/...", "net", "net/http", "syscall", "log/...", "math/rand/...", "runtime/...", "io/ioutil", "golang.org/x/sys/..."}
	clock  = []string{
		"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.NewTimer", "time.NewTicker", "time.Tick",
	}
)

func TestPureCore(t *testing.T) {
	for _, p := range all(t) {
		if !matches(p.path(), pure...) {
			continue
		}
		for _, imp := range p.Imports {
			if matches(imp, impure...) {
				t.Errorf("%s imports %s: the core does no I/O", p.path(), imp)
			}
		}
	}
	parsed(t, func(file string, fset *token.FileSet, f *ast.File) {
		if strings.HasSuffix(file, "_test.go") || !matches(path.Dir(file), pure...) {
			return
		}
		for call, lines := range called(fset, f) {
			if slices.Contains(clock, call) {
				t.Errorf("%s:%d calls %s: the core reads no clock", file, lines[0], call)
			}
		}
	})
}

// layers says which packages of the module a package may import; what is not listed is
// bound by the other rules only.
var layers = map[string][]string{
	"reconcile/resource": {},
	"internal/spec":      {},
	"internal/build":     {},
	"reconcile":          {"reconcile/resource", "internal/spec", "internal/haproxy"},
	"reconcile/planfile": {"reconcile", "reconcile/resource", "internal/spec"},
	"internal/vrrp":      {"reconcile/resource", "internal/spec"},
	"internal/bfd":       {},
	"internal/check":     {"reconcile/resource", "internal/spec"},

	"internal/haproxy":        {"internal/spec"},
	"internal/haproxy/socket": {},
	"internal/event":          {},

	"internal/check/due":   {},
	"internal/check/watch": {"internal/check", "internal/check/due"},
	"internal/check/http1": {"internal/check/answer"},

	"hcl":           {"reconcile/resource", "internal/spec", "internal/build", "internal/haproxy", "internal/event"},
	"policies":      {"hcl", "reconcile", "reconcile/planfile", "reconcile/resource", "internal/spec"},
	"plugins/proto": {},
	"plugins/sdk":   {"plugins/proto/..."},
}

func TestLayers(t *testing.T) {
	for _, p := range all(t) {
		allowed, bound := layers[p.path()]
		for _, imp := range p.Imports {
			below, ours := strings.CutPrefix(imp, module)
			if !ours {
				continue
			}
			if !forTests(p) && strings.HasSuffix(below, "test") {
				t.Errorf("%s imports %s, which is for tests", p.path(), below)
			}
			if bound && !matches(below, allowed...) {
				t.Errorf("%s imports %s; it may import %v", p.path(), below, allowed)
			}
			if matches(below, "cmd/...", "test/...") && !matches(p.path(), "test/...") {
				t.Errorf("%s imports %s: nobody imports programs and tests", p.path(), below)
			}
			if matches(p.path(), "reconcile/kind/...") && matches(below, "reconcile/kind/...") && kindOf(p.path()) != kindOf(below) {
				t.Errorf("%s imports %s: kinds never import each other", p.path(), below)
			}
		}
	}
}

// kindOf returns the folder of a kind.
func kindOf(p string) string {
	return strings.SplitN(strings.TrimPrefix(p, "reconcile/kind/"), "/", 2)[0]
}

// TestVRRPDLinksLittle keeps the process that holds the addresses small.
func TestVRRPDLinksLittle(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "./cmd/hareconcile-vrrpd")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"internal/vrrp") {
		t.Error("hareconcile-vrrpd does not link internal/vrrp: is this the right program?")
	}
	for _, d := range deps {
		if matches(d, "github.com/hashicorp/...", "github.com/zclconf/...", "github.com/go-git/...", "google.golang.org/...", "net/http/...") {
			t.Errorf("hareconcile-vrrpd links %s", d)
		}
		if matches(strings.TrimPrefix(d, module), "hcl", "policies", "internal/gitsource", "internal/pluginhost", "internal/agent") {
			t.Errorf("hareconcile-vrrpd links %s", d)
		}
	}
}

// TestAgentImportsNoLibraries keeps the agent's loop free of what its parts are made with.
func TestAgentImportsNoLibraries(t *testing.T) {
	for _, p := range all(t) {
		if p.path() != "internal/agent" {
			continue
		}
		for _, imp := range p.Imports {
			if strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") && !strings.HasPrefix(imp, module) && !matches(imp, "golang.org/x/sync/...") {
				t.Errorf("internal/agent imports %s", imp)
			}
		}
	}
}

// forTests reports whether a package exists for tests alone: nstest, reconciletest, sdktest.
func forTests(p pack) bool {
	return strings.HasSuffix(p.Name, "test") || matches(p.path(), "test/...")
}

func TestProductionImportsNoTesting(t *testing.T) {
	for _, p := range all(t) {
		if forTests(p) {
			continue
		}
		for _, imp := range p.Imports {
			if matches(imp, "testing/...") {
				t.Errorf("%s imports %s", p.path(), imp)
			}
		}
	}
}
