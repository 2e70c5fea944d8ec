package hcl

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheExamplesOfThePagesAreValid: what people copy from them has to work.
func TestTheExamplesOfThePagesAreValid(t *testing.T) {
	const nodes = `
cluster "lab" {
  node "ka1" { address = "172.25.254.10" }
  node "ka2" { address = "172.25.254.20" }
  node "rs1" { address = "172.25.254.110" }
}
`
	for page, around := range map[string]struct {
		text  string
		least int
	}{
		"vrrp.md": {`
vrrp_instance "web6" {
  interface         = "eth0"
  virtual_router_id = 100
  priority          = { ka1 = 150, ka2 = 100 }
  source            = { ka1 = "fe80::10", ka2 = "fe80::20" }
  addresses         = ["fe80::100/64"]
}
`, 2},
		"ipvs.md": {`
vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 100
  priority          = { ka1 = 150, ka2 = 100 }
  addresses         = ["172.25.254.100/24"]
}
`, 1},
	} {
		b, err := os.ReadFile("../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		file := nodes + around.text
		blocks := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllStringSubmatch(string(b), -1)
		if len(blocks) < around.least {
			t.Fatalf("%s: found %d examples", page, len(blocks))
		}
		for _, b := range blocks {
			file += b[1]
			if formatted, ds := Format(page, []byte(b[1])); string(formatted) != b[1] {
				t.Errorf("not as fmt writes it:\n%s\nwant:\n%s%s", b[1], formatted, text(ds))
			}
		}
		if _, ds := Compile(Tree{mainFile: []byte(strings.TrimSpace(file))}, Options{}); len(ds) > 0 {
			t.Errorf("%s:\n%s", page, text(ds))
		}
	}
}
