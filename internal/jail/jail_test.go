package jail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "internal" {
		os.Exit(Main(os.Args[2], testStages))
	}
	os.Exit(m.Run())
}

type probed struct {
	Status     map[string]string
	Interfaces []string
	Env        []string
	Dir        string // what could be read from the working directory
	WriteErr   string
}

var testStages = map[string]Stage{
	"echo": func(_ context.Context, in io.Reader, progress func(string)) (any, error) {
		var v any
		progress("reading")
		return v, json.NewDecoder(in).Decode(&v)
	},
	"length": func(_ context.Context, in io.Reader, _ func(string)) (any, error) {
		var v string
		err := json.NewDecoder(in).Decode(&v)
		return len(v), err
	},
	"fail": func(context.Context, io.Reader, func(string)) (any, error) {
		return nil, errors.New("no such branch")
	},
	"probe": probe,
	"hang": func(ctx context.Context, _ io.Reader, progress func(string)) (any, error) {
		progress("waiting for the remote")
		select {}
	},
	"spin": func(context.Context, io.Reader, func(string)) (any, error) {
		for n := 0; ; n++ {
			runtime.KeepAlive(n)
		}
	},
	"grow": func(_ context.Context, _ io.Reader, progress func(string)) (any, error) {
		progress("cluster.hcl")
		var keep [][]byte
		for {
			b := make([]byte, 1<<20)
			for k := 0; k < len(b); k += 4096 {
				b[k] = 1
			}
			keep = append(keep, b)
			runtime.KeepAlive(keep)
		}
	},
	"nest": func(_ context.Context, _ io.Reader, progress func(string)) (any, error) {
		progress("conf.d/deep.hcl")
		return nest(1), nil
	},
	"panic": func(context.Context, io.Reader, func(string)) (any, error) { panic("index out of range") },
	"flood": func(context.Context, io.Reader, func(string)) (any, error) {
		return strings.Repeat("x", 70<<20), nil
	},
	"noise": func(_ context.Context, _ io.Reader, progress func(string)) (any, error) {
		for range 200 {
			fmt.Fprintln(os.Stderr, strings.Repeat("y", 100_000))
		}
		progress("the end\x1b[31m")
		return nil, syscall.Kill(os.Getpid(), syscall.SIGKILL)
	},
}

func nest(n int) int {
	if n < 0 {
		return 0
	}
	return nest(n+1) + 1
}

func probe(context.Context, io.Reader, func(string)) (any, error) {
	var p probed
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, err
	}
	p.Status = map[string]string{}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		p.Status[key] = strings.Join(strings.Fields(value), " ")
	}
	ifs, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, i := range ifs {
		p.Interfaces = append(p.Interfaces, i.Name+" "+i.Flags.String())
	}
	p.Env = os.Environ()
	if b, err := os.ReadFile("secret"); err == nil {
		p.Dir = string(b)
	}
	name := filepath.Join(os.TempDir(), fmt.Sprintf("jail-probe-%d", os.Getpid()))
	if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
		p.WriteErr = err.Error()
	}
	_ = os.Remove(name)
	return p, nil
}

func TestRunPassesValuesAndErrors(t *testing.T) {
	var out map[string]string
	if err := Run(t.Context(), "echo", Limits{}, map[string]string{"a": "b"}, &out); err != nil || out["a"] != "b" {
		t.Fatalf("Run(echo) = %v, %v, want the input back", out, err)
	}
	var n int
	if err := Run(t.Context(), "length", Limits{}, strings.Repeat("z", 5<<20), &n); err != nil || n != 5<<20 {
		t.Errorf("Run(length) = %d, %v, want %d", n, err, 5<<20)
	}
	if err := Run(t.Context(), "fail", Limits{}, nil, nil); err == nil || err.Error() != "no such branch" {
		t.Errorf("Run(fail) = %v, want the stage's own words", err)
	}
}

func TestDeathHasAReason(t *testing.T) {
	tests := []struct {
		stage  string
		limits Limits
		reason string
		last   string
	}{
		{"hang", Limits{Wall: 300 * time.Millisecond}, "ran longer than 300ms", "waiting for the remote"},
		{"spin", Limits{CPU: time.Second}, "used more processor time than its limit of 1s", ""},
		{"grow", Limits{Data: 256 << 20}, "used more memory than its limit of 256 MiB", "cluster.hcl"},
		{"nest", Limits{}, "stack overflow (input nested too deep)", "conf.d/deep.hcl"},
		{"panic", Limits{}, "crashed: panic: index out of range", ""},
		{"flood", Limits{Data: 1 << 30}, "wrote more than 64 MiB", ""},
		{"noise", Limits{}, "killed by signal 9 (killed)", "the end?[31m"},
		{"unknown", Limits{}, `crashed: hareconcile internal: no stage "unknown"`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.stage, func(t *testing.T) {
			err := Run(t.Context(), tt.stage, tt.limits, nil, nil)
			var death *DeathError
			if !errors.As(err, &death) {
				t.Fatalf("Run(%s) = %v, want a DeathError", tt.stage, err)
			}
			if want := (DeathError{tt.stage, tt.reason, tt.last}); *death != want {
				t.Errorf("Run(%s) = %+v, want %+v", tt.stage, *death, want)
			}
		})
	}
}

func TestCancelEndsTheChild(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := Run(ctx, "hang", Limits{Wall: time.Minute}, nil, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run = %v, want the caller's deadline", err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("Run took %v after its context was done", d)
	}
}

func TestMainIsNotForPeople(t *testing.T) {
	t.Setenv(limitsEnv, "")
	if err := os.Unsetenv(limitsEnv); err != nil {
		t.Fatal(err)
	}
	if code := Main("echo", testStages); code != 1 {
		t.Errorf("Main without limits = %d, want 1", code)
	}
}
