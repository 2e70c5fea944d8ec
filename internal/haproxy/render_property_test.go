package haproxy

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// full returns a fresh copy of the largest definition.
func full(t testing.TB) *spec.HAProxy {
	b, err := json.Marshal(rendered()["full"])
	h := &spec.HAProxy{}
	if err == nil {
		err = json.Unmarshal(b, h)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestRenderIsDeterministic(t *testing.T) {
	if a, b := Render(*full(t), "c"), Render(*full(t), "c"); a != b {
		t.Errorf("two renderings differ:\n%s\n%s", a.Text, b.Text)
	}
}

// TestRuntimeFieldsAreNoStructure changes what runtime commands change, and what the file
// does not hold.
func TestRuntimeFieldsAreNoStructure(t *testing.T) {
	before := Render(*full(t), "edge")
	rapid.Check(t, func(r *rapid.T) {
		h := full(t)
		s := &h.Backends[0].Servers[rapid.IntRange(0, 2).Draw(r, "server")]
		s.Address = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(r, "address")))
		s.Port = rapid.Uint16Min(1).Draw(r, "port")
		s.Weight = rapid.IntRange(0, 256).Draw(r, "weight")
		s.MaxConn = rapid.IntRange(0, 1000).Draw(r, "maxconn")
		s.Admin = rapid.SampledFrom([]string{"ready", "drain", "maint"}).Draw(r, "admin")
		h.Maps = []spec.HAProxyMap{{Name: "m", Path: "/m", Entries: []spec.HAProxyMapRecord{{Key: "k", Value: rapid.String().Draw(r, "value")}}}}
		h.Reload.MinInterval, h.Adopt, h.Overwrite = time.Second, true, true
		h.Frontends[0].Raw = strings.ReplaceAll(h.Frontends[0].Raw, "by hand", rapid.StringMatching(`[a-z '"]*`).Draw(r, "comment"))
		h.Frontends[0].Raw = strings.ReplaceAll(h.Frontends[0].Raw, "set-header ", "set-header"+strings.Repeat(" ", rapid.IntRange(1, 9).Draw(r, "blanks")))
		if got := Render(*h, "edge"); got.Structure != before.Structure {
			r.Errorf("the structure is another:\n%s", got.Text)
		}
	})
}

// TestEveryOtherFieldIsStructure changes every other field that the file holds, one at a time.
func TestEveryOtherFieldIsStructure(t *testing.T) {
	runtime := map[string]bool{"Address": true, "Port": true, "Weight": true, "MaxConn": true, "Admin": true}
	apart := map[string]bool{ // of HAProxy: not in the file, or not in its sections
		"Name": true, "Nodes": true, "Requires": true, "ConfigDir": true, "MasterSocket": true, "IgnoreRuntime": true, "AddServers": true,
		"Reload": true, "Adopt": true, "Overwrite": true, "Maps": true, "Certificates": true,
	}
	before := Render(*full(t), "edge").Structure
	changed := 0
	h := full(t)
	walk(reflect.ValueOf(h).Elem(), "", func(path string, v reflect.Value) {
		parts := strings.Split(strings.TrimPrefix(path, "."), ".")
		last := parts[len(parts)-1]
		switch {
		case apart[parts[0]], strings.Contains(path, ".Origin"), last == "Nonlocal",
			strings.Contains(path, ".Servers") && runtime[last] && (last != "Weight" || parts[0] != "Backends[1]"), // which is static
			path == ".Backends[0].Check.Type", strings.HasPrefix(path, ".Backends[2].Check.") && last != "Type": // tcp asks nothing
			return
		}
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		other(v)
		if Render(*h, "edge").Structure == before {
			t.Errorf("another %s is the same structure", path)
		}
		v.Set(old)
		changed++
	})
	if Render(*h, "edge").Structure != before || changed < 80 {
		t.Fatalf("%d fields were changed and put back", changed)
	}
	for _, nonlocal := range []string{"none", "sysctl"} {
		h.Frontends[0].Binds[1].Nonlocal = nonlocal
		if Render(*h, "edge").Structure == before {
			t.Errorf("nonlocal = %q is the same structure as transparent", nonlocal)
		}
	}
}

// walk calls f for every plain value below v.
func walk(v reflect.Value, path string, f func(string, reflect.Value)) {
	switch {
	case v.Type() == reflect.TypeFor[netip.Addr]():
		f(path, v)
	case v.Kind() == reflect.Struct:
		for k := range v.NumField() {
			walk(v.Field(k), path+"."+v.Type().Field(k).Name, f)
		}
	case v.Kind() == reflect.Slice:
		for k := range v.Len() {
			walk(v.Index(k), path+"["+number(k)+"]", f)
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		walk(v.Elem(), path, f)
	case v.CanSet() && v.Kind() != reflect.Pointer:
		f(path, v)
	}
}

// other changes a plain value.
func other(v reflect.Value) {
	switch v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.MustParseAddr("198.51.100.77")))
		return
	case time.Duration:
		v.SetInt(v.Int() + int64(time.Millisecond))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
		if strings.HasSuffix(v.String(), "\nx") {
			v.SetString(v.String() + " y\n")
		}
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Uint16:
		v.SetUint(v.Uint() + 1)
	default:
		v.SetInt(v.Int() + 1)
	}
}

// TestNoFieldAddsALine puts hostile text into every field but raw ones: lines and sections
// are the same as before, and no word of ours is missing.
func TestNoFieldAddsALine(t *testing.T) {
	bare := func() *spec.HAProxy {
		h := full(t)
		h.RawSections, h.Frontends[0].Raw, h.Backends[0].Raw = nil, "", ""
		return h
	}
	// That line goes by the mode, which is among the fields.
	render := func(h *spec.HAProxy, cluster string) string {
		return strings.ReplaceAll(Render(*h, cluster).Text, indent+"option idle-close-on-response\n", "")
	}
	before := headings(render(bare(), "edge"))
	hostile := rapid.StringOfN(rapid.SampledFrom([]rune("\n\r\t\x00\u0085\u2028 '\"\\#${}.abx")), 0, 12, -1)
	keyword := rapid.SampledFrom([]string{"", "frontend x", "\nbackend x\n", "'defaults'", `\x67lobal`, "\".if\" 1", "list\\en y", ".notice z", `"$KW" z`})
	rapid.Check(t, func(r *rapid.T) {
		h := bare()
		walk(reflect.ValueOf(h).Elem(), "", func(path string, v reflect.Value) {
			if v.Kind() == reflect.String && v.String() != "" && rapid.IntRange(0, 3).Draw(r, "take") == 0 && !strings.Contains(path, ".From") && !strings.HasSuffix(path, ".Type") {
				v.SetString(keyword.Draw(r, path) + hostile.Draw(r, path) + v.String())
			}
		})
		text := render(h, "edge\nglobal")
		if got := headings(text); got != before {
			r.Errorf("lines and sections are\n%s, want\n%s, of\n%s", got, before, text)
		}
		for _, l := range strings.Split(text, "\n") {
			if strings.HasPrefix(l, " ") && startsSection(l) {
				r.Errorf("%q starts a section", l)
			}
		}
	})
}

// headings are the first words of lines that are not indented, and a dot for the others.
func headings(text string) string {
	var out strings.Builder
	for _, l := range strings.Split(text, "\n") {
		switch {
		case l == "":
			out.WriteString("|")
		case l[0] == ' ':
			out.WriteString(".")
		default:
			first, _, _ := strings.Cut(l, " ")
			out.WriteString(first)
		}
	}
	return out.String()
}

func TestLineProblem(t *testing.T) {
	for line, wrong := range map[string]bool{
		"": false, "  # frontend x": false, "option httplog": false, "http-request deny if { path /server }": false, "log-format \"%ci %{+Q}r\"": false,
		"acl a path '$x'": false, "http-request set-header A \"$HOME\"": false, "stats enable": false, "default_backend_x": false,
		"frontend x": true, "\tlisten x": true, "'backend' x": true, `back\end x`: false, `\x62ackend x`: true, "\"$A\" x": true, "'' x": true,
		".if 1": true, ".notice x": true, "server a 1.2.3.4": true, "bind :80": true, "default-server weight 7": true, "mode tcp": true,
		"balance source": true, "stats socket /x": true, "use_backend x": true, "load-server-state-from-file global": true,
		"a\nb": true, "a\rb": true, "a 'b": true, "a \"b": true, "x\x7f": true,
	} {
		if got := LineProblem(line); (got != "") != wrong {
			t.Errorf("LineProblem(%q) = %q", line, got)
		}
	}
	for line, wrong := range map[string]bool{
		"peers mates": false, "    peer a 192.0.2.1:1024": false, "    server a 1.2.3.4:1": false, "    bind :1": false, "ring r": false,
		"defaults": true, "global": true, "frontend x": true, ".if 1": true, "program x": true,
	} {
		if got := SectionProblem(line); (got != "") != wrong {
			t.Errorf("SectionProblem(%q) = %q", line, got)
		}
	}
}

func TestFragmentProblem(t *testing.T) {
	for text, wrong := range map[string]bool{
		"": false, "{ path_beg /api }": false, "status 200-299": false, `'a # b' \#`: false, "a # b": true, `a\`: true, "a\nb": true, "'a": true,
	} {
		if got := FragmentProblem(text); (got != "") != wrong {
			t.Errorf("FragmentProblem(%q) = %q", text, got)
		}
	}
}

// FuzzWords keeps the splitter in bounds: its words are in the line, in order.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"server a 1.2.3.4:5 # x", `a\ b 'c"d' "e\"$f" \x41\n`, `"`, `\`, "'a''b'", `\x4`, "\t#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, _ := Words(line)
		rest := line
		for _, w := range words {
			_, after, ok := strings.Cut(rest, w.Raw)
			if w.Raw == "" || !ok {
				t.Fatalf("Words(%q) has %q, which is not in %q", line, w.Raw, rest)
			}
			rest = after
		}
		if bare := Bare(line); Bare(bare) != bare && !strings.ContainsAny(line, "'\"\\") {
			t.Errorf("Bare(%q) = %q is not bare", line, bare)
		}
	})
}
