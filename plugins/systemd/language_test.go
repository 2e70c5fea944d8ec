package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// TestLanguage puts the page's example through the language, with the schema that the lock
// command would write.
func TestLanguage(t *testing.T) {
	schema, err := json.Marshal(sdk.Description{Name: "systemd", Version: "0", Attributes: tracker{}.Schema()})
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```hcl\n([^`]*plugin = \"systemd\".*?)```").FindSubmatch(page)
	if example == nil {
		t.Fatal("the page has no example")
	}
	const cluster = `
cluster "lab" {
  node "a" { address = "192.0.2.10" }
  node "b" { address = "192.0.2.20" }
}

vrrp_instance "db" {
  interface         = "eth0"
  virtual_router_id = 7
  priority          = { a = 150, b = 100 }
  addresses         = ["192.0.2.100/24"]
  gates             = [tracker.database]
}

`
	compile := func(text string) string {
		_, ds := hcl.Compile(hcl.Tree{"cluster.hcl": []byte(text), "systemd.schema.json": schema}, hcl.Options{})
		var said []string
		for _, d := range ds {
			said = append(said, d.Summary+": "+d.Detail)
		}
		return strings.Join(said, "\n")
	}
	good := cluster + string(example[1])
	if said := compile(good); said != "" {
		t.Errorf("the example is refused: %s", said)
	}
	if said := compile(strings.Replace(good, "restart_grace", "restart_grave", 1)); !strings.Contains(said, "restart_grave") {
		t.Errorf("a mistyped attribute: %q, want a word on it", said)
	}
}
