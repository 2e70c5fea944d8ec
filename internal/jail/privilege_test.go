package jail

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func run(t *testing.T, l Limits) probed {
	t.Helper()
	var p probed
	if err := Run(t.Context(), "probe", l, nil, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func wantNoRights(t *testing.T, p probed, uid string) {
	t.Helper()
	want := map[string]string{
		"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000",
		"CapAmb": "0000000000000000", "NoNewPrivs": "1", "Uid": uid,
	}
	if os.Geteuid() == 0 {
		want["CapBnd"] = "0000000000000000"
		want["Groups"] = ""
	}
	if uid == "0 0 0 0" {
		delete(want, "Groups")
	}
	for key, w := range want {
		if got := p.Status[key]; got != w {
			t.Errorf("%s of the child is %q, want %q", key, got, w)
		}
	}
}

func TestChildHasNoRights(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hidden")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	closed := filepath.Join(t.TempDir(), "closed")
	dir := filepath.Join(closed, "open")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("readable"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	p := run(t, Limits{Dir: dir})
	uid := "65534 65534 65534 65534"
	if os.Geteuid() != 0 {
		uid = strings.Join(slices.Repeat([]string{strconv.Itoa(os.Geteuid())}, 4), " ")
	}
	wantNoRights(t, p, uid)
	if want := []string{"lo loopback"}; !slices.Equal(p.Interfaces, want) && namespaces(t) {
		t.Errorf("interfaces of the child = %q, want %q, down", p.Interfaces, want)
	}
	for _, e := range p.Env {
		if name, _, _ := strings.Cut(e, "="); !slices.Contains([]string{limitsEnv, "GOTRACEBACK", "GOMAXPROCS", "LC_ALL", "GORACE"}, name) {
			t.Errorf("the child's environment has %s", name)
		}
	}
	if p.Dir != "readable" {
		t.Errorf("the child read %q from its working directory, want %q", p.Dir, "readable")
	}
	if !strings.Contains(p.WriteErr, "file too large") {
		t.Errorf("writing a file gave %q, want it refused", p.WriteErr)
	}
}

func TestNetworkedChildKeepsUserWithoutCapabilities(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	p := run(t, Limits{Network: true, Files: true})
	wantNoRights(t, p, strings.Join(slices.Repeat([]string{strconv.Itoa(os.Geteuid())}, 4), " "))
	if !slices.Contains(p.Env, "HTTPS_PROXY=http://127.0.0.1:1") {
		t.Errorf("the child's environment %q lacks the proxy", p.Env)
	}
	if p.WriteErr != "" {
		t.Errorf("writing a file gave %q, want it done", p.WriteErr)
	}
}

func TestRunLeavesTheCallerItsRights(t *testing.T) {
	before := threads(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { run(t, Limits{}) })
	}
	wg.Wait()
	for tid, status := range threads(t) {
		if strings.Contains(status, "NoNewPrivs:\t1") && !strings.Contains(before[tid], "NoNewPrivs:\t1") {
			// The thread may be on its way out; then it is gone in a moment.
			if !gone(tid) {
				t.Errorf("thread %s lives on without its rights", tid)
			}
		}
	}
}

func threads(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		b, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		out[task.Name()] = string(b)
	}
	return out
}

func gone(tid string) bool {
	for range 100_000 {
		if _, err := os.Stat("/proc/self/task/" + tid); err != nil {
			return true
		}
		runtime.Gosched()
	}
	return false
}

// namespaces reports whether this user may make network namespaces, as far as Debian's switch tells.
func namespaces(t *testing.T) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/kernel/unprivileged_userns_clone")
	return os.Geteuid() == 0 || err != nil || strings.TrimSpace(string(b)) == "1"
}
