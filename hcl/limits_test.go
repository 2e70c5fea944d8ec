package hcl

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// hostile are files that ask for much more than they are worth. The fuzz tests start from them, too.
var hostile = map[string]string{
	"a megabyte of parentheses":        "locals {\n x = " + strings.Repeat("(", 1<<20) + "\n}\n",
	"parentheses within the file size": "locals {\n x = " + strings.Repeat("(", 200_000) + "1" + "\n}\n",
	"wrong closing brackets":           "locals {\n x = " + strings.Repeat("(]", 100_000) + "\n}\n",
	"braces":                           strings.Repeat("a {", 60_000),
	"templates":                        "locals {\n x = " + strings.Repeat(`"${`, 60_000) + "\n}\n",
	"directives":                       "locals {\n x = <<E\n" + strings.Repeat("%{if true}", 20_000) + "\nE\n}\n",
	"unary operators":                  "locals {\n x = " + strings.Repeat("-", 200_000) + "1\n}\n",
	"not operators over lines":         "locals {\n x = (" + strings.Repeat("!\n", 100_000) + "true)\n}\n",
	"conditionals":                     "locals {\n x = " + strings.Repeat("true ? 1 : ", 20_000) + "1\n}\n",
	"binary operators in a for":        "locals {\n x = { for k in [] : k => 1" + strings.Repeat("\n+1", 60_000) + "}\n}\n",
	"indices":                          "locals {\n x = a" + strings.Repeat("[0]", 60_000) + "\n}\n",
	"indices of expressions":           "locals {\n x = a" + strings.Repeat("[b]", 60_000) + "\n}\n",
	"splats":                           "locals {\n x = a" + strings.Repeat("[*]", 60_000) + "\n}\n",
	"attributes":                       "locals {\n x = a" + strings.Repeat(".b", 100_000) + "\n}\n",
	"heredocs":                         "locals {\n" + strings.Repeat("x = <<E\n", 20_000) + "}\n",
	"loops":                            "locals {\n x = [for a in range(1000) : [for b in range(1000) : [for c in range(1000) : \"${a}${b}${c}\"]]]\n}\n",
	"loops without locals":             "locals {\n x = [for a in range(1024) : length([for b in range(1024) : length(range(1024))])]\n}\n",
	"a digit storm":                    "locals {\n x = 1" + strings.Repeat("0", 200_000) + "\n}\n",
	"an exponent":                      "locals {\n x = \"${1e999999999}\"\n}\n",
	"squared numbers":                  "locals {\n x0 = 1e300\n" + chain(40, "x%d = x*x") + "}\n",
	"doubling lists":                   "locals {\n x0 = [\"lol\", \"lol\"]\n" + chain(40, "x%d = concat(x, x)") + "}\n",
	"doubling strings":                 "locals {\n x0 = \"lollollol\"\n" + chain(40, "x%d = \"${x}${x}\"") + "}\n",
	"doubling objects":                 "locals {\n x0 = { a = 1 }\n" + chain(40, "x%d = { a = x, b = x }") + "}\n",
	"doubling in one expression":       "locals {\n x = " + strings.Repeat("[for a in range(900) : ", 3) + "join(\"\", [for i in range(900) : \"xxxxxxxxxxxxxxx\"])" + strings.Repeat("]", 3) + "\n}\n",
	"a heredoc of many lines":          strings.Repeat("x = <<A\n<<A\n", 15_000),
	"a large automaton":                "locals {\n a = join(\"\", [for i in range(1000) : \"aaaaaaaaaaaaaaaaaaaaaaaaa\"])\n x = regexall(\"(a|aa|aaa){900}x\", local.a)\n}\n",
	"deep signs":                       "locals {\n x = " + strings.Repeat(strings.Repeat("-", 250)+"(", 70) + "1" + strings.Repeat(")", 70) + "\n}\n",
	"many views":                       strings.Replace(small, "}\n}", "}\n"+numbered(250, "node \"n%d\" { address = \"10.0.0.%[1]d\" }\n")+"}", 1) + "locals {\n" + numbered(6000, "x%d = \"${node.name}-%[1]d\"\n") + "}\n",
	"a product of sets":                "locals {\n x = setproduct(range(1000), range(1000), range(1000), range(1000))\n}\n",
	"replace":                          "locals {\n a = join(\"\", [for i in range(1000) : \"xxxxxxxxxxxxxxxxxxxxxxxxx\"])\n x = replace(local.a, \"x\", local.a)\n}\n",
	"join":                             "locals {\n a = join(\"\", [for i in range(1000) : \"xxxxxxxxxxxxxxxxxxxxxxxxx\"])\n x = join(local.a, [for i in range(1000) : \"\"])\n}\n",
	"widths":                           "locals {\n x = format(\"%0999999999d\", 1)\n}\n",
	"precision":                        "locals {\n x = format(\"%.999999999f\", 1)\n}\n",
	"a number in a format":             "locals {\n x = format(\"%d\", \"1e999999999\")\n}\n",
	"nested json":                      "locals {\n x = jsondecode(join(\"\", [for i in range(1000) : \"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]))\n}\n",
	"a long chain of locals":           "locals {\n x0 = 1\n" + chain(5000, "x%d = x") + "}\n",
	"a long ring of locals":            "locals {\n x0 = local.x4999\n" + chain(5000, "x%d = x") + "}\n",
	"many unknown names":               "locals {\n" + numbered(5000, "x%d = local.y%[1]d\n") + "}\n",
	"many unknown blocks":              strings.Repeat("a {}\n", 40_000),
	"blocks that index each other":     indexing(1000),
	"many types":                       "variable \"x\" {\n type = " + strings.Repeat("list(", 60) + "string" + strings.Repeat(")", 60) + "\n default = null\n}\n",
	"a tuple of many types":            "locals {\n x = tolist([for i in range(1000) : i % 2 == 0 ? [i] : { a = i }])\n}\n",
	"conditional types":                "locals {\n x = true ? [for i in range(1000) : { a = [i] }] : [for i in range(1000) : { b = i }]\n}\n",
}

// chain writes n lines, each of the one before it: x stands for that.
func chain(n int, line string) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		before, after, _ := strings.Cut(line, "=")
		after = strings.ReplaceAll(after, "x", fmt.Sprintf("local.x%d", i-1))
		fmt.Fprintf(&b, before+"=%s\n", i, after)
	}
	return b.String()
}

func numbered(n int, line string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, line, i)
	}
	return b.String()
}

// indexing is a cluster whose services find their pools by a key that is an expression.
func indexing(n int) string {
	return small + router + `
locals {
  ports = { for i in range(` + fmt.Sprint(n) + `) : "p${i}" => i + 1 }
}
pool "web" {
  for_each = local.ports
  port     = each.value
  server "rs1" { address = "192.0.2.110" }
}
virtual_server "web" {
  for_each = local.ports
  on       = vrrp_instance.web
  address  = "192.0.2.100"
  port     = each.value
  forward  = "dr"
  pool     = pool.web[each.key]
}
`
}

// Time grows with work, so a tenth of the work that a file may ask for shows what all of it
// would take. slow is what no file may take for that. The tests run beside others on few
// cores, and with the race detector, so it is far above the usual second.
const (
	tenth = 10
	slow  = 3 * time.Minute / tenth
)

func TestHostileFilesEndSoonWithAPosition(t *testing.T) {
	allowed := map[string]bool{"blocks that index each other": true, "many types": true}
	for name, src := range hostile {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(src, "cluster ") {
				src += small
			}
			start := time.Now()
			c, ds := Compile(Tree{"cluster.hcl": []byte(src)}, Options{slices: tenth})
			took := time.Since(start)
			t.Logf("%d bytes took %s", len(src), took)
			if took > slow {
				t.Errorf("took %s", took)
			}
			if allowed[name] {
				return
			}
			if c != nil || len(ds) == 0 || ds[0].File == "" || ds[0].Start.Line == 0 && len(src) < maxFileBytes {
				t.Errorf("Compile() = %v with %s", c, text(ds))
			}
		})
	}
}

func TestTheWholeWorkIsAllowed(t *testing.T) {
	for slices, want := range map[int]int{0: maxWork, tenth: maxWork / tenth} {
		p := newProgram(Tree{}, Options{slices: slices})
		if newEvaluator(p, nil); p.meter.limit != want {
			t.Errorf("with %d slices a view may take %d steps, want %d", slices, p.meter.limit, want)
		}
	}
}

func TestAThousandServicesFindTheirPoolsByKey(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(indexing(1000))}, Options{})
	if n := len(c.VirtualServers); n != 1000 || c.VirtualServers[999].Pool == "" {
		t.Errorf("%d services, want 1000", n)
	}
}

func TestTreeLimits(t *testing.T) {
	many := Tree{"cluster.hcl": []byte(small)}
	for i := range maxFiles {
		many[fmt.Sprintf("%d.hcl", i)] = nil
	}
	large := Tree{"cluster.hcl": []byte(small)}
	for i := range 3 {
		large[fmt.Sprintf("%d.hcl", i)] = bytes.Repeat([]byte("#"), maxFileBytes)
	}
	for name, tree := range map[string]Tree{
		"too many files": many, "too many bytes": large,
		"a file too large": {"cluster.hcl": bytes.Repeat([]byte("#\n"), maxFileBytes)},
		"not text":         {"cluster.hcl": []byte("x = \"\xff\"")},
		"a NUL byte":       {"cluster.hcl": []byte("x = \x00")},
	} {
		if c, ds := Compile(tree, Options{}); c != nil || !ds.HasErrors() || ds[0].File != "cluster.hcl" {
			t.Errorf("%s: Compile() = %v with %s", name, c, text(ds))
		}
	}
}

func TestOrdinaryFilesAreFarFromTheLimits(t *testing.T) {
	var list strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&list, "    \"s%d\" = { address = \"10.0.%d.%d\", weight = %d }\n", i, i/250, i%250+1, i%10)
	}
	src := small + "locals {\n  web = {\n" + list.String() + "  }\n}\n" + `
pool "web" {
  port = 80
  dynamic "server" {
    for_each = local.web
    labels   = [server.key]
    content {
      address = server.value.address
      weight  = server.value.weight
    }
  }
}
`
	if n := len(compile(t, Tree{"cluster.hcl": []byte(src)}, Options{}).Pools[0].Servers); n != 2000 {
		t.Errorf("%d servers, want 2000", n)
	}
}
