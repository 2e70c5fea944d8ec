package script

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestExamplePlans compares every plan that an example shows with the one that is made for
// the snapshot beside it.
func TestExamplePlans(t *testing.T) {
	snapshots, err := filepath.Glob("../../examples/*/plans/*.snapshot.json")
	if err != nil || len(snapshots) < 4 {
		t.Fatalf("%d snapshots in the examples (%v)", len(snapshots), err)
	}
	for _, s := range snapshots {
		s, err := filepath.Rel("../..", s)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Dir(filepath.Dir(s))
		t.Run(strings.TrimSuffix(s, ".snapshot.json"), func(t *testing.T) {
			cmd := exec.Command(filepath.Join(bin, "hareconcile"), "plan", "-against", s, dir)
			cmd.Dir = "../.."
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %v\n%s", cmd.Args, err, err.(*exec.ExitError).Stderr)
			}
			golden := "../../" + strings.TrimSuffix(s, ".snapshot.json") + ".txt"
			if *update {
				if err := os.WriteFile(golden, out, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(out)); d != "" {
				t.Errorf("%s (-want +got):\n%s", golden, d)
			}
		})
	}
}
