package compile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/hcl"
)

// folder writes files into a folder of the test's.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDir(t *testing.T) {
	parametrised := strings.Replace(cluster(1), "weight  = 1", "weight  = var.weight", 1) + `
variable "weight" {
  type    = number
  default = 3
}
`
	dir := folder(t, map[string]string{"cluster.hcl": parametrised})
	for node, want := range map[string]string{"": "ka1", "rs1": "rs1"} {
		c, ds, err := Dir(t.Context(), dir, node, nil)
		if err != nil || c == nil || c.Node != want || c.Pools[0].Servers[0].Weight != 3 {
			t.Errorf("Dir for %q = %+v, %v, %v", node, c, ds, err)
		}
	}
	c, ds, err := Dir(t.Context(), dir, "ka1", map[string]string{"weight": "7"})
	if err != nil || c == nil || c.Pools[0].Servers[0].Weight != 7 {
		t.Errorf("Dir with a variable = %+v, %v, %v, want weight 7", c, ds, err)
	}
	if c, ds, err := Dir(t.Context(), dir, "nobody", nil); c != nil || !ds.HasErrors() || err != nil {
		t.Errorf("Dir for an unknown node = %v, %v, %v, want a diagnostic", c, ds, err)
	}
	if _, _, err := Dir(t.Context(), dir+"/missing", "", nil); err == nil {
		t.Error("Dir of a folder that is not there succeeded")
	}
}

func TestDirSurvivesTheCompiler(t *testing.T) {
	dir := folder(t, map[string]string{"cluster.hcl": cluster(1), dieFile: "x"})
	c, ds, err := Dir(t.Context(), dir, "", nil)
	if c != nil || err != nil || len(ds) != 1 || ds[0].File != dieFile || !strings.Contains(ds[0].Detail, "stack overflow") {
		t.Errorf("Dir = %v, %+v, %v, want a diagnostic that names %s", c, ds, err, dieFile)
	}
}

func TestDigestIsTheClustersOwn(t *testing.T) {
	digest := func(text string) string {
		t.Helper()
		c, ds := hcl.Compile(hcl.Tree{"cluster.hcl": []byte(text)}, hcl.Options{Node: "ka1"})
		if c == nil {
			t.Fatal(ds)
		}
		return Digest(c)
	}
	if a, b := digest(cluster(1)), digest(cluster(1)+"# a remark\n"); a != b {
		t.Errorf("a remark changes the digest from %s to %s", a, b)
	}
	if a, b := digest(cluster(1)), digest(cluster(2)); a == b {
		t.Error("another weight leaves the digest as it was")
	}
}
