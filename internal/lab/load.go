package lab

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// load reads and checks cluster.hcl and lab.hcl.
func load(dir string, report io.Writer) (*spec.Cluster, *spec.Lab, error) {
	tree, err := hcl.ReadTree(dir)
	if err != nil {
		return nil, nil, err
	}
	c, ds := hcl.Compile(tree, hcl.Options{})
	if ds.HasErrors() {
		if report != nil {
			ds.WriteText(report, false)
		}
		return nil, nil, fmt.Errorf("%s is not valid", filepath.Join(dir, "cluster.hcl"))
	}
	b, ok := tree["lab.hcl"]
	if !ok {
		return nil, nil, fmt.Errorf("%s is missing: it says which segments and extra hosts the lab has", filepath.Join(dir, "lab.hcl"))
	}
	l, ds := hcl.ParseLab("lab.hcl", b, c)
	if ds.HasErrors() {
		if report != nil {
			ds.WriteText(report, false)
		}
		return nil, nil, fmt.Errorf("%s is not valid", filepath.Join(dir, "lab.hcl"))
	}
	return c, l, nil
}
