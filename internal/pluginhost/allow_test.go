package pluginhost

import (
	"errors"
	"os"
	"testing"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// TestExecIsOffUnlessItIsAllowed: the plugin is not even looked for.
func TestExecIsOffUnlessItIsAllowed(t *testing.T) {
	for _, tt := range []struct {
		plugin string
		allow  bool
		want   error
	}{
		{"exec", false, errExecRefused},
		{"exec", true, os.ErrNotExist},
		{"haproxy", false, os.ErrNotExist},
	} {
		s := &supervisor{name: tt.plugin, host: New(spec.Plugins{Dir: folder, AllowExec: tt.allow}, t.TempDir(), quiet)}
		if _, err := s.start(t.Context()); !errors.Is(err, tt.want) {
			t.Errorf("start of %s, allowed %t: %v, want %v", tt.plugin, tt.allow, err, tt.want)
		}
	}
}
