package compile

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/gitsource/gittest"
	"github.com/hareconcile/hareconcile/internal/revision"
)

// doubling is a file whose locals double a string until it has terabytes.
func doubling() string {
	var b strings.Builder
	b.WriteString("locals {\n  a0 = \"xxxxxxxxxxxxxxxx\"\n")
	for k := range 40 {
		fmt.Fprintf(&b, "  a%d = \"${local.a%d}${local.a%d}\"\n", k+1, k, k)
	}
	return b.String() + "}\n"
}

func TestBadPushesAreRefusedWithAPlace(t *testing.T) {
	nested := "locals {\n  x = " + strings.Repeat("[for a in range(9) : ", 7) + "1" + strings.Repeat("]", 7) + "\n}\n"
	tests := map[string]struct {
		push  func(r gittest.Repo)
		stage string
		want  string // in the reason
		at    string // file, or file:line, of the first diagnostic
	}{
		"unknown block":         {write(cluster(1) + "\nbogus \"x\" {}\n"), "compile", "bogus", "cluster.hcl:30"},
		"wrong type":            {write(strings.Replace(cluster(1), "= 10\n", "= \"ten\"\n", 1)), "compile", "", "cluster.hcl:9"},
		"template label":        {write(cluster(1) + "\npool \"x${1}\" {}\n"), "compile", "", "cluster.hcl:30"},
		"leaving include":       {write(cluster(1) + "\ninclude {\n  paths = [\"../../*.hcl\"]\n}\n"), "compile", "", "cluster.hcl:31"},
		"parentheses":           {write("x = " + strings.Repeat("(", 5<<20)), "verify", "has 5242884 bytes", ""},
		"200 kB of parentheses": {write("x = " + strings.Repeat("(", 200<<10)), "compile", "", "cluster.hcl:1"},
		"nested for":            {write(cluster(1) + nested), "compile", "", "cluster.hcl"},
		"empty file":            {write(""), "compile", "", "cluster.hcl"},
		"doubling locals":       {write(cluster(1) + doubling()), "compile", "", "cluster.hcl"},
		"symlink":               {func(r gittest.Repo) { r.Link("/etc/passwd", "clusters/web/x.hcl") }, "verify", "symbolic link", ""},
		"no file":               {func(r gittest.Repo) { r.Git("rm", "-q", "-r", "clusters") }, "verify", "no folder", ""},
		"stack overflow":        {func(r gittest.Repo) { r.Write("clusters/web/"+dieFile, "x") }, "compile", "stack overflow", dieFile},
		"memory":                {func(r gittest.Repo) { r.Write("clusters/web/"+growFile, "x") }, "compile", "limit of 512 MiB", growFile},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := gittest.New(t)
			first := r.CommitFile(file, cluster(1))
			p := newPipeline(config(t, r, first))
			one := next(t, p, nil)
			tt.push(r)
			bad := r.Commit(name)
			got := refused(t, p, one, tt.stage, tt.want)
			if got.Commit != bad || got.Subject != name {
				t.Errorf("refused %s %q, want %s %q", got.Commit, got.Subject, bad, name)
			}
			if at := place(got); tt.at != "" && at != tt.at && !strings.HasPrefix(at, tt.at+":") {
				t.Errorf("the first diagnostic is at %q, want %q (%s)", at, tt.at, got.Reason)
			}
			start := time.Now()
			if again := refused(t, p, one, tt.stage); again != got {
				t.Errorf("the same tip was judged again, in %v", time.Since(start))
			}
			r.Git("revert", "--no-edit", "HEAD")
			if rev := next(t, p, one); rev != nil {
				t.Errorf("Next after the revert = %+v, want nothing new", rev)
			}
		})
	}
}

func write(content string) func(gittest.Repo) {
	return func(r gittest.Repo) { r.Write(file, content) }
}

func place(r *revision.Refused) string {
	if len(r.Diagnostics) == 0 {
		return ""
	}
	d := r.Diagnostics[0]
	if d.Start.Line == 0 {
		return d.File
	}
	return d.File + ":" + strconv.Itoa(d.Start.Line)
}

func TestChildrenHaveNoRights(t *testing.T) {
	r := gittest.New(t)
	r.Write("probe/cluster.hcl", cluster(1))
	r.CommitFile(file, cluster(1))
	first := r.CommitFile("clusters/web/"+probeFile, "x")
	fetch, verify, compile := config(t, r, first), config(t, r, first), config(t, r, first)
	fetch.Source.Branch, verify.Source.Path = probeName, probeName
	_, err := newPipeline(fetch).Next(t.Context(), nil)
	wantRights(t, "fetch", err, strconv.Itoa(os.Geteuid()), true)
	user := "65534"
	if os.Geteuid() != 0 {
		user = strconv.Itoa(os.Geteuid())
	}
	_, err = newPipeline(verify).Next(t.Context(), nil)
	wantRights(t, "verify", err, user, false)
	_, err = newPipeline(compile).Next(t.Context(), nil)
	wantRights(t, "compile", err, user, false)
}

func wantRights(t *testing.T, stage string, err error, uid string, network bool) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s did not show its rights", stage)
	}
	got := err.Error() + "\n"
	want := []string{"CapPrm: 0000000000000000\n", "CapEff: 0000000000000000\n", "CapInh: 0000000000000000\n", "CapAmb: 0000000000000000\n",
		"NoNewPrivs: 1\n", "Uid: " + strings.Join([]string{uid, uid, uid, uid}, " ") + "\n"}
	if os.Geteuid() == 0 {
		want = append(want, "CapBnd: 0000000000000000\n")
		if !network {
			want = append(want, "Groups:\n")
		}
	}
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%s has not %q:\n%s", stage, w, got)
		}
	}
	if os.Geteuid() == 0 && !network && strings.Count(got, "\nif ") != 1 || strings.Contains(got, "if lo up") != network {
		t.Errorf("%s has these interfaces:\n%s", stage, got)
	}
}

func TestAFetchThatIsKilledDoesNoHarm(t *testing.T) {
	r := gittest.New(t)
	first := r.CommitFile(file, cluster(1))
	r.CommitFile("blob", strings.Repeat("incompressible? ", 1000))
	started := make(chan struct{}, 1)
	hang := true
	s, ca := r.ServeHTTPS("", func(w http.ResponseWriter, req *http.Request) bool {
		if !hang || req.Method != http.MethodPost {
			return false
		}
		hang = false
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		_, _ = io.WriteString(w, "0008NAK\n")
		w.(http.Flusher).Flush()
		started <- struct{}{}
		<-req.Context().Done()
		return true
	})
	cfg := config(t, r, first)
	cfg.Source.URL, cfg.Source.CAFile = s.URL+"/work/.git", ca
	p := newPipeline(cfg)
	done := make(chan error, 1)
	go func() {
		_, err := p.Next(t.Context(), nil)
		done <- err
	}()
	<-started
	pid := childPID(t, "fetch")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "killed by signal 9") {
		t.Errorf("Next = %v, want to hear that the child was killed", err)
	}
	if rev := next(t, p, nil); rev == nil || rev.Cluster.Name != "web" {
		t.Errorf("Next after a killed fetch = %+v", rev)
	}
}

// childPID returns the process of this test's child that runs a stage.
func childPID(t *testing.T, stage string) int {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		stat, _ := os.ReadFile(name)
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
		if len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) && strings.HasSuffix(string(line), "\x00internal\x00"+stage+"\x00") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			return pid
		}
	}
	t.Fatalf("no child runs %s", stage)
	return 0
}

func TestASilentRemoteIsGivenUp(t *testing.T) {
	r := gittest.New(t)
	first := r.CommitFile(file, cluster(1))
	s, ca := r.ServeHTTPS("", func(_ http.ResponseWriter, req *http.Request) bool {
		<-req.Context().Done()
		return true
	})
	cfg := config(t, r, first)
	cfg.Source.URL, cfg.Source.CAFile, cfg.Source.Timeout = s.URL+"/work/.git", ca, time.Second
	start := time.Now()
	if _, err := newPipeline(cfg).Next(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "no answer within 1s") {
		t.Errorf("Next = %v, want it to give up", err)
	}
	if d := time.Since(start); d > 6*time.Second {
		t.Errorf("Next gave up after %v", d)
	}
}
