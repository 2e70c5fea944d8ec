package compile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func TestWhoMaySignIsRootsWord(t *testing.T) {
	name := filepath.Join(t.TempDir(), "allowed_signers")
	if err := os.WriteFile(name, []byte("alice@example.com ssh-ed25519 AAAA\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &Pipeline{cfg: spec.Agent{SignersFile: name}}
	if v, err := p.trust(); err != nil || !strings.HasPrefix(string(v.Allowed), "alice") || v.Now.IsZero() {
		t.Errorf("trust = %+v, %v", v, err)
	}
	for _, mode := range []os.FileMode{0o664, 0o646} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := p.trust(); err == nil || !strings.Contains(err.Error(), "others than root may write it") {
			t.Errorf("mode %o: %v, want a refusal", mode, err)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Chmod(name, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(name, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if _, err := p.trust(); err == nil || !strings.Contains(err.Error(), "user 65534") {
			t.Errorf("another owner: %v, want a refusal", err)
		}
	}
	p.cfg = spec.Agent{Keys: []string{name + ".asc"}}
	if _, err := p.trust(); err == nil {
		t.Error("a key that is not there was read")
	}
	if v, err := (&Pipeline{}).trust(); v != nil || err != nil {
		t.Errorf("trust without keys = %v, %v", v, err)
	}
}
