package hcl

import (
	"testing"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func TestLabGit(t *testing.T) {
	c, ds := Compile(Tree{"cluster.hcl": []byte(`
cluster "pair" {
  node "a" { address = "192.0.2.1" }
  node "b" { address = "192.0.2.14" }
}
`)}, Options{})
	if c == nil {
		t.Fatal(text(ds))
	}
	const lan = `
segment "lan" {
  prefix = "192.0.2.0/28"
  nodes  = ["a", "b"]
}
host "client" {
  segment = "lan"
  address = "192.0.2.13"
}
`
	for block, want := range map[string]spec.LabGit{
		`git "git" {}`: {Name: "git", Segment: "lan", SSH: true, HTTPS: true},
		`git "forge" {
		  segment = "lan"
		  address = "192.0.2.9"
		  ssh     = false
		  signed  = true
		}`: {Name: "forge", Segment: "lan", HTTPS: true, Signed: true},
	} {
		l, ds := ParseLab("lab.hcl", []byte(lan+block), c)
		if l == nil || l.Git == nil {
			t.Fatalf("%s: %s", block, text(ds))
		}
		address := map[string]string{"git": "192.0.2.12", "forge": "192.0.2.9"}[want.Name]
		want.Origin, want.Address = l.Git.Origin, l.Git.Address
		if *l.Git != want || l.Git.Address.String() != address {
			t.Errorf("%s: git = %+v, want %+v at %s", block, l.Git, want, address)
		}
	}
	if l, ds := ParseLab("lab.hcl", []byte(lan), c); l == nil || l.Git != nil {
		t.Errorf("without the block: %+v, %s", l, text(ds))
	}
}
