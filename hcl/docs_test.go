package hcl

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheExamplesOfThePageAreValid: what people copy from docs/vrrp.md has to work.
func TestTheExamplesOfThePageAreValid(t *testing.T) {
	page, err := os.ReadFile("../docs/vrrp.md")
	if err != nil {
		t.Fatal(err)
	}
	file := `
cluster "lab" {
  node "ka1" { address = "172.25.254.10" }
  node "ka2" { address = "172.25.254.20" }
}

vrrp_instance "web6" {
  interface         = "eth0"
  virtual_router_id = 100
  priority          = { ka1 = 150, ka2 = 100 }
  source            = { ka1 = "fe80::10", ka2 = "fe80::20" }
  addresses         = ["fe80::100/64"]
}
`
	blocks := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 2 {
		t.Fatalf("found %d examples", len(blocks))
	}
	for _, b := range blocks {
		file += b[1]
		if formatted, ds := Format("vrrp.md", []byte(b[1])); string(formatted) != b[1] {
			t.Errorf("not as fmt writes it:\n%s\nwant:\n%s%s", b[1], formatted, text(ds))
		}
	}
	if _, ds := Compile(Tree{mainFile: []byte(strings.TrimSpace(file))}, Options{}); len(ds) > 0 {
		t.Errorf("diagnostics:\n%s", text(ds))
	}
}
