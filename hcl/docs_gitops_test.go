package hcl

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheFilesOfThePageOnPushesAreValid takes agent.hcl and lab.hcl out of docs/gitops.md.
func TestTheFilesOfThePageOnPushesAreValid(t *testing.T) {
	const page = "../docs/gitops.md"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	c, ds := Compile(Tree{mainFile: []byte(`
cluster "lab" {
  node "ka1" { address = "172.25.254.10" }
  node "ka2" { address = "172.25.254.20" }
  node "rs1" { address = "172.25.254.110" }
  node "rs2" { address = "172.25.254.120" }
}
`)}, Options{})
	if c == nil {
		t.Fatal(text(ds))
	}
	agents, labs := 0, 0
	for _, m := range regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		if formatted, ds := Format(page, []byte(m[1])); string(formatted) != m[1] {
			t.Errorf("not as fmt writes it:\n%s\nwant:\n%s%s", m[1], formatted, text(ds))
		}
		var ds Diagnostics
		switch {
		case strings.HasPrefix(m[1], "node_name"):
			agents++
			_, ds = ParseAgent("agent.hcl", []byte(m[1]))
		case strings.HasPrefix(m[1], "segment"):
			labs++
			_, ds = ParseLab("lab.hcl", []byte(m[1]), c)
		}
		if len(ds) > 0 {
			t.Errorf("%s%s", m[1], text(ds))
		}
	}
	if agents == 0 || labs == 0 {
		t.Errorf("found %d agent.hcl and %d lab.hcl, want at least one of each", agents, labs)
	}
}
