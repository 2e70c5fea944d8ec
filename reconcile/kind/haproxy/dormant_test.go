package haproxy_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
)

// TestPowerThatWentInAReload: the file with which haproxy cannot start is replaced by the last good
// one, also before haproxy starts, which it could not do otherwise.
func TestPowerThatWentInAReload(t *testing.T) {
	h := newHost(t)
	c := h.plain()
	reconciletest.Apply(t, h.hs, h.set(c))
	bad := c
	bad.lines = []string{"bind 192.0.2.1:80"}
	text := string(h.file(bad).Text)
	h.write("conf/50-hareconcile.cfg", text)
	h.loading(text)
	h.stop()
	for range 2 { // whatever is wanted now
		if err := h.apply(h.file(bad)); !errors.Is(err, reconcile.ErrRefused) || !strings.Contains(err.Error(), "haproxy does not run") {
			t.Errorf("Apply = %v, want an error that says so", err)
		}
		if got := h.read(h.managed.Path); got != string(h.file(c).Text) {
			t.Errorf("the last good file is not back:\n%s", got)
		}
	}
	h.start("-f", "conf")
	h.wait("the worker serves", func() bool {
		l, err := reconcile.Observe(t.Context(), h.hs)
		return err == nil && len(l.Owned) == 3
	})
	if p := reconciletest.Plan(t, h.hs, h.set(c)); !p.Empty() {
		t.Errorf("what is left is %+v", p)
	}
}

// TestAnAgentThatEndedInAReload had haproxy take the file, which is good then.
func TestAnAgentThatEndedInAReload(t *testing.T) {
	h := newHost(t)
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
	older := h.read(h.good())
	c := h.plain()
	c.client = "9s"
	reconciletest.Apply(t, h.hs, h.set(c))
	h.loading(string(h.file(c).Text))
	if err := os.WriteFile(h.good(), []byte(older), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := reconciletest.Plan(t, h.hs, h.set(c)); !p.Empty() {
		t.Errorf("what is left is %+v", p)
	}
	h.stop()
	if err := h.apply(h.file(c)); !errors.Is(err, reconcile.ErrRefused) {
		t.Errorf("Apply = %v, want a refusal", err)
	}
	if got := h.read(h.managed.Path); got != string(h.file(c).Text) {
		t.Errorf("the file that haproxy ran is gone:\n%s", got)
	}
}

// good is the path of the last good file.
func (h *host) good() string {
	h.t.Helper()
	found, err := filepath.Glob(h.path("state/*.good"))
	if err != nil || len(found) != 1 {
		h.t.Fatalf("the last good files are %v, %v", found, err)
	}
	return found[0]
}

// loading leaves things as if the agent had ended while haproxy loaded text.
func (h *host) loading(text string) {
	h.t.Helper()
	path := strings.TrimSuffix(h.good(), ".good") + ".json"
	var r map[string]any
	if err := json.Unmarshal([]byte(h.read(path)), &r); err != nil {
		h.t.Fatal(err)
	}
	r["Written"] = fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	r["Loading"] = r["Written"]
	b, err := json.Marshal(r)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// TestAHostThatIsNew has haproxy's arguments name the folder already, without which it does not
// start.
func TestAHostThatIsNew(t *testing.T) {
	h := prepared(t)
	if err := os.Remove(h.path("conf")); err != nil {
		t.Fatal(err)
	}
	if err := h.apply(h.file(h.plain())); !errors.Is(err, reconcile.ErrRefused) {
		t.Errorf("Apply = %v, want a refusal", err)
	}
	h.start("-f", "conf")
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
}

// TestADrainOutlivesASocketThatMoves: what people set is asked for where they set it.
func TestADrainOutlivesASocketThatMoves(t *testing.T) {
	h := newHost(t)
	h.managed.IgnoreRuntime = []string{"admin_state"}
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
	h.ask("set server app/a state drain", "set server mine/s state maint")
	h.managed.RuntimeSocket = h.path("other.sock")
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
	if s := h.ask("show servers state"); !strings.Contains(s, " a 127.0.0.1 2 8 ") || !strings.Contains(s, " s 127.0.0.1 0 1 ") {
		t.Errorf("servers are\n%s\nwant the drain and the maintenance to stay", s)
	}
}
