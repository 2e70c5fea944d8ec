package lab

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

func TestUpRefuses(t *testing.T) {
	nstest.Need(t, "root")
	dir, bin := folders(t)
	for name, change := range map[string]func(){
		"a missing program":    func() { _ = os.Remove(filepath.Join(bin, "hareconcile-vrrpd")) },
		"a lab.hcl that lacks": func() { _ = os.Remove(filepath.Join(dir, "lab.hcl")) },
		"a mistake":            func() { write(t, filepath.Join(dir, "cluster.hcl"), "oops {\n") },
	} {
		t.Run(name, func(t *testing.T) {
			change()
			if _, err := Up(t.Context(), dir, Options{Bin: bin}); err == nil {
				t.Error("Up gave no error")
			}
		})
	}
}
