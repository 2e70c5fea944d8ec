package revision

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func sample(commit string) *Revision {
	return &Revision{
		Ref: "main", Commit: commit, Subject: "Lower <weights> & more", Author: "Ada <ada@example.org>",
		Committed: time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC), Digest: "sha256:00",
		Cluster: &spec.Cluster{Name: "web", Node: "lb1", Nodes: []spec.Node{
			{Name: "lb1", Address: netip.MustParseAddr("192.0.2.1"), Origin: spec.Origin{Address: "node.lb1", File: "cluster.hcl", Line: 3}},
		}},
		Policies: map[string][]byte{"policies/a.policy.hcl": []byte("x")},
	}
}

const commitA, commitB = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

func TestStoreKeepsTheNewest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := NewStore(dir)
	if r, err := s.LoadGood(); r != nil || err != nil {
		t.Fatalf("LoadGood of nothing = %v, %v, want nil, nil", r, err)
	}
	for _, commit := range []string{commitA, commitB} {
		want := sample(commit)
		if err := s.SaveGood(want); err != nil {
			t.Fatal(err)
		}
		got, err := NewStore(dir).LoadGood()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Errorf("LoadGood (-want +got):\n%s", d)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("the folder has %v, %v, want good.json and prior.json", entries, err)
	}
	if r, err := s.LoadPrior(); err != nil || r.Commit != commitA {
		t.Errorf("LoadPrior = %v, %v, want the one before", r, err)
	}
	if i, err := entries[0].Info(); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("good.json has mode %v, %v, want 0600", i.Mode(), err)
	}
}

func TestDamageIsAnError(t *testing.T) {
	dir := t.TempDir()
	s := NewStore(dir)
	if err := s.SaveGood(sample(commitA)); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, goodFile)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	try := func(b []byte) error {
		t.Helper()
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := s.LoadGood()
		if r != nil {
			t.Errorf("LoadGood of %.40q gave a revision", b)
		}
		return err
	}
	for n := range len(good) - 1 { // without the newline it is still whole
		if err := try(good[:n]); err == nil || !strings.Contains(err.Error(), name) {
			t.Fatalf("LoadGood of the first %d bytes = %v, want an error that names the file", n, err)
		}
	}
	tests := map[string][]byte{
		"checksum":       bytes.Replace(good, []byte("192.0.2.1"), []byte("192.0.2.9"), 1),
		"format_version": bytes.Replace(good, []byte(`"format_version":"2"`), []byte(`"format_version":"9"`), 1),
		"damaged":        make([]byte, 4096),
		"no revision":    []byte(`{"format_version":"2","checksum":"` + checksum([]byte("{}")) + `","revision":{}}`),
	}
	for want, b := range tests {
		if err := try(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("LoadGood = %v, want an error that says %q", err, want)
		}
	}
}

// TestAFullDiskLeavesTheOldRevision runs in a process of its own: the limit holds for all that a
// process writes, as what go test notes of it.
func TestAFullDiskLeavesTheOldRevision(t *testing.T) {
	const alone = "HARECONCILE_TEST_ALONE"
	if os.Getenv(alone) == "" {
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), alone+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	s := NewStore(dir)
	if err := s.SaveGood(sample(commitA)); err != nil {
		t.Fatal(err)
	}
	big := sample(commitB)
	big.Policies["big"] = make([]byte, 1<<20)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 64 << 10, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	err := s.SaveGood(big)
	if e := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); e != nil {
		t.Fatal(e)
	}
	if err == nil {
		t.Error("SaveGood without room succeeded")
	}
	if r, err := s.LoadGood(); err != nil || r.Commit != commitA {
		t.Errorf("LoadGood = %v, %v, want the old revision", r, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("the folder has %v, want good.json and prior.json alone", entries)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"format_version":"2","checksum":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","revision":{}}`))
	f.Add([]byte(`{"format_version":"2","revision":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decode(b); err == nil && (r == nil || r.Cluster == nil) {
			t.Errorf("decode(%q) gave neither a revision nor an error", b)
		}
	})
}

// TestGoingBackKeepsNothingToGoForwardTo: what was rolled back is not the prior one then.
func TestGoingBackKeepsNothingToGoForwardTo(t *testing.T) {
	s := NewStore(t.TempDir())
	for _, commit := range []string{commitA, commitB} {
		if err := s.SaveGood(sample(commit)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.GoBack(sample(commitA)); err != nil {
		t.Fatal(err)
	}
	if r, err := s.LoadGood(); err != nil || r.Commit != commitA {
		t.Errorf("LoadGood = %v, %v, want the prior one", r, err)
	}
	if r, err := s.LoadPrior(); err != nil || r != nil {
		t.Errorf("LoadPrior = %v, %v, want none", r, err)
	}
}
