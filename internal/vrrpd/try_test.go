package vrrpd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrpd/successor"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestTryNeedsTheSecrets: a successor that cannot read them would give up every router
// that needs one, so that it must not be executed.
func TestTryNeedsTheSecrets(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	i := instance(100)
	i.Version, i.Password = 2, "vrrp"
	state, err := json.Marshal(newStore("").stamp(saved{Config: channel.Config{Instances: []resource.VRRPInstance{i}}}))
	if err != nil {
		t.Fatal(err)
	}
	legacy, err := json.Marshal(successor.Legacy{Version: successor.Version, State: state})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		secret string
		mode   os.FileMode
		want   string // in the error
	}{
		{"", 0, "there is no secret vrrp"},
		{"hunter2", 0o644, "open to everybody"},
		{"far too long", 0o600, "has 12 bytes"},
		{"hunter2", 0o600, ""},
	} {
		if path := filepath.Join(dir, "vrrp"); c.mode != 0 {
			if err := os.WriteFile(path, []byte(c.secret+"\n"), c.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
		}
		err := Try(strings.NewReader(string(legacy)))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q with mode %o: %v, want %q", c.secret, c.mode, err, c.want)
		}
	}
}
