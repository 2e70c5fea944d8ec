package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/plugins/proto"
)

// scaffolds is where newPlugin works; TestMain removes it.
var scaffolds string

// newPlugin scaffolds plugin "probe" outside of this repository and builds it, once.
var newPlugin = sync.OnceValues(func() (dir string, err error) {
	if scaffolds, err = os.MkdirTemp("", "scaffold"); err != nil {
		return "", err
	}
	dir = filepath.Join(scaffolds, "p")
	e := &env{stdout: io.Discard, stderr: os.Stderr}
	if code := dispatch(context.Background(), e, []string{"plugin", "new", "-sdk", "../..", "-dir", dir, "probe"}); code != exitOK {
		return "", fmt.Errorf("plugin new exits with %d", code)
	}
	out, err := goIn(dir, "build", "-o", "hareconcile-plugin-probe", ".").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return dir, err
})

// goIn returns a go command in a new module that may ask nobody.
func goIn(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOSUMDB=off", "GOWORK=off")
	return cmd
}

// pluginHost returns an agent.hcl and the folder of plugins that it names, with probe in it.
func pluginHost(t *testing.T) (agent, dir string) {
	t.Helper()
	made, err := newPlugin()
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	agent, dir = filepath.Join(work, "agent.hcl"), filepath.Join(work, "plugins")
	text := fmt.Sprintf("node_name = \"a\"\nsource \"git\" \"o\" {\n  url = \"/x\"\n  ref = { branch = \"main\" }\n}\n"+
		"plugins {\n  dir  = %q\n  user = \"root\"\n}\n", dir)
	for _, err := range []error{
		os.WriteFile(agent, []byte(text), 0o600),
		os.Mkdir(dir, 0o755),
		copyFile(filepath.Join(made, "hareconcile-plugin-probe"), filepath.Join(dir, "hareconcile-plugin-probe")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return agent, dir
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

func TestNewPluginPassesItsOwnTests(t *testing.T) {
	dir, err := newPlugin()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gofmt", "-l", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("gofmt: %v\n%s", err, out)
	}
	for _, args := range [][]string{{"vet", "./..."}, {"test", "./..."}} {
		if out, err := goIn(dir, args...).CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", args[0], err, out)
		}
	}
	checker, err := exec.Command("go", "tool", "-n", "staticcheck").Output()
	if err != nil {
		t.Fatalf("find staticcheck: %v", err)
	}
	lint := exec.Command(strings.TrimSpace(string(checker)), "-checks", "all,-ST1000", "./...")
	lint.Dir, lint.Env = dir, goIn(dir).Env
	if out, err := lint.CombinedOutput(); err != nil {
		t.Errorf("staticcheck: %v\n%s", err, out)
	}
}

func TestNewPluginIsRefused(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "", "plugin", "new").want(t, 1, "", "wrong number of arguments")
	run(t, "", "plugin", "new", "A_b").want(t, 1, "", "cannot be a plugin")
	run(t, "", "plugin", "new", "-module", "a b", "ab").want(t, 1, "", "is no path of a Go module")
	run(t, "", "plugin", "new", "-sdk", full, "ab").want(t, 1, "", "is not hareconcile's source")
	run(t, "", "plugin", "new", "-dir", full, "ab").want(t, 1, "", "is not empty: it has x")
	run(t, "", "plugin", "nwe").want(t, 1, "", `Did you mean "new"`)
	run(t, "", "plugin").want(t, 1, "", "Usage: hareconcile plugin COMMAND")
	run(t, "", "help", "plugin").want(t, 0, "plugin COMMAND", "")
	run(t, "", "plugin", "lock", "-help").want(t, 0, "lock .-agent FILE", "")
}

func TestPluginCheck(t *testing.T) {
	agent, dir := pluginHost(t)
	check := func(args ...string) result {
		return run(t, "", append([]string{"plugin", "check", "-agent", agent}, args...)...)
	}
	check("-config", `{"address":"127.0.0.1:1"}`, "probe").want(t, 1, "^fail: nobody listens on 127.0.0.1:1\ncode: REFUSED$", "")
	check("-json", "-config", `{"address":"127.0.0.1:1"}`, filepath.Join(dir, "hareconcile-plugin-probe")).want(t, 1, `"code": "REFUSED"`, "")
	check("-config", `{"address":"256.0.0.1:1"}`, "probe").want(t, 2, "^unknown: ", "")
	check("probe").want(t, 2, "", "^address: is required$")
	check("nothing").want(t, 2, "", "no such file")
	check("-plain", "-config", `{"address":"127.0.0.1:1"}`, "probe").want(t, 1, "REFUSED", "")
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	check("probe").want(t, 2, "", "can be written by its group or by others")
}

func TestPluginWithADebugger(t *testing.T) {
	_, dir := pluginHost(t)
	cmd := exec.Command(filepath.Join(dir, "hareconcile-plugin-probe"), "-debug")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	value, ok := strings.CutPrefix(strings.TrimSpace(line), proto.ReattachKey+"='")
	if err != nil || !ok {
		t.Fatalf("-debug printed %q, %v", line, err)
	}
	args := []string{"plugin", "check", "-reattach", "-config", `{"address":"127.0.0.1:1"}`, "probe"}
	run(t, "", args...).want(t, 2, "", "holds no JSON object")
	t.Setenv(proto.ReattachKey, strings.TrimSuffix(value, "'"))
	run(t, "", args...).want(t, 1, "REFUSED", "")
	run(t, "", args...).want(t, 1, "REFUSED", "") // it goes on
	run(t, "", append(args[:len(args)-1], "other")...).want(t, 2, "", `has no plugin "other"`)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("-debug ended with %v", err)
	}
}

// TestPluginInPython runs the conformance tests with the example in another language.
func TestPluginInPython(t *testing.T) {
	nstest.Need(t, "protoc")
	if err := exec.Command("/usr/bin/python3", "-c", "import grpc, google.protobuf").Run(); err != nil {
		nstest.Need(t, "python3-grpcio and python3-protobuf") // which no program is called
	}
	agent, _ := pluginHost(t)
	dir := t.TempDir()
	binary := filepath.Join(dir, "hareconcile-plugin-beat")
	if err := copyFile("../../plugins/examples/python/hareconcile-plugin-beat", binary); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../plugins/proto/hareconcile/plugin/v1/*.proto")
	if err != nil {
		t.Fatal(err)
	}
	lib := binary + ".lib"
	if err := os.Mkdir(lib, 0o755); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-I", "../../plugins/proto", "--python_out=" + lib}, files...)
	if out, err := exec.Command("protoc", args...).CombinedOutput(); err != nil {
		t.Fatalf("protoc: %v\n%s", err, out)
	}
	run(t, "", "plugin", "verify", "-agent", agent, "-plain", "-config", `{"path":"/nonexistent"}`, binary).
		want(t, 0, "all 11 tests passed", "")
	run(t, "", "plugin", "verify", "-agent", agent, "-json", binary). // with certificates, and without its path
										want(t, 1, `"passed": false`, "")
}

func TestHelpNamesExactlyTheFlagsOfPluginCommands(t *testing.T) {
	option := regexp.MustCompile(`(?m)^  (-[a-z-]+)`)
	for _, v := range pluginVerbs() {
		r := run(t, "", "plugin", v.name, "-help")
		r.want(t, 0, "^Usage: hareconcile plugin "+v.name, "")
		var has []string
		for _, m := range option.FindAllStringSubmatch(r.stdout, -1) {
			has = append(has, m[1])
		}
		says := command{args: v.args}.flagsOf()
		slices.Sort(says)
		slices.Sort(has)
		if d := cmp.Diff(has, says); d != "" {
			t.Errorf("synopsis of %s (-flags +synopsis):\n%s", v.name, d)
		}
	}
}
