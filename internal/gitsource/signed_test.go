package gitsource

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/gitsource/gittest"
	"github.com/hareconcile/hareconcile/internal/nstest"
)

// A person has an ssh key and signs with it.
type person struct{ key, public string }

func newPerson(t *testing.T, name string) person {
	t.Helper()
	key := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return person{key, strings.TrimSpace(string(b))}
}

// signs returns the arguments with which git signs by p.
func (p person) signs() []string {
	return []string{"-c", "gpg.format=ssh", "-c", "user.signingkey=" + p.key, "-c", "commit.gpgsign=true"}
}

// commits changes the file and commits as p; the zero person does not sign.
func (p person) commits(r gittest.Repo, content string) string {
	r.Write("cluster.hcl", content)
	r.Git("add", "-A")
	args := []string{"commit", "-q", "-m", content}
	if p.key != "" {
		args = append(p.signs(), args...)
	}
	r.Git(args...)
	return r.Git("rev-parse", "HEAD")
}

// TestSignatures: with real git, every commit that is new counts, and not the tip alone.
func TestSignatures(t *testing.T) {
	nstest.Need(t, "git", "ssh-keygen")
	alice, bob, nobody := newPerson(t, "alice"), newPerson(t, "bob"), person{}
	line := func(options string, p person) string { return "alice@example.com " + options + p.public + "\n" }
	allowed := line(`namespaces="git" `, alice)
	now := time.Now()
	for _, tt := range []struct {
		name    string
		allowed string
		push    func(gittest.Repo) string // on top of a commit that is trusted, and returns the tip
		want    string                    // of the reason; empty: it is taken
	}{
		{"signed", allowed, func(r gittest.Repo) string { return alice.commits(r, "one") }, ""},
		{"several", allowed, func(r gittest.Repo) string { alice.commits(r, "one"); return alice.commits(r, "two") }, ""},
		{"nothing new", allowed, func(r gittest.Repo) string { return r.Git("rev-parse", "HEAD") }, ""},
		{"not signed", allowed, func(r gittest.Repo) string { return nobody.commits(r, "one") }, `"one" counts for nothing: it is not signed`},
		{"by a stranger", allowed, func(r gittest.Repo) string { return bob.commits(r, "one") }, "who signed it, is no allowed signer"},
		{"a signed tip on one that is not", allowed, func(r gittest.Repo) string { nobody.commits(r, "one"); return alice.commits(r, "two") }, `"one" counts for nothing: it is not signed`},
		{"a merge of what is not signed", allowed, func(r gittest.Repo) string {
			r.Git("checkout", "-q", "-b", "side")
			r.CommitFile("side.hcl", "side")
			r.Git("checkout", "-q", "main")
			alice.commits(r, "one")
			r.Git(append(alice.signs(), "merge", "-q", "--no-ff", "-m", "merge", "side")...)
			return r.Git("rev-parse", "HEAD")
		}, `"Change side.hcl" counts for nothing: it is not signed`},
		{"another author's words", allowed, func(r gittest.Repo) string {
			tip := alice.commits(r, "one")
			raw := r.Git("cat-file", "commit", tip)
			forged := filepath.Join(r.Dir, ".git", "forged")
			if err := os.WriteFile(forged, []byte(strings.Replace(raw, "\n\none", "\n\nanother", 1)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			r.Git("reset", "-q", "--hard", r.Git("hash-object", "-t", "commit", "-w", forged))
			return r.Git("rev-parse", "HEAD")
		}, "is wrong"},
		{"for another purpose", line(`namespaces="file" `, alice), func(r gittest.Repo) string { return alice.commits(r, "one") }, "may not sign commits"},
		{"an old key", line(`valid-before="20200101" `, alice), func(r gittest.Repo) string { return alice.commits(r, "one") }, "was valid until 2020-01-01"},
		{"a key to come", line(`valid-after="21000101Z" `, alice), func(r gittest.Repo) string { return alice.commits(r, "one") }, "is not valid before 2100-01-01"},
		{"an old key and its successor", line(`valid-before="20200101" `, alice) + "# and now\n" + line(`valid-after="20200101",valid-before="21000101" `, alice), func(r gittest.Repo) string { return alice.commits(r, "one") }, ""},
		{"no keys", "# nobody\n", func(r gittest.Repo) string { return alice.commits(r, "one") }, "nobody is allowed to sign"},
		{"an authority", line("cert-authority ", alice), func(r gittest.Repo) string { return alice.commits(r, "one") }, "line 1 of the allowed signers: cert-authority is not supported"},
		{"nonsense", "alice@example.com", func(r gittest.Repo) string { return alice.commits(r, "one") }, "line 1 of the allowed signers"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := gittest.New(t)
			base := r.CommitFile("cluster.hcl", "zero") // by nobody, and trusted by its hash
			tip := tt.push(r)
			c := source(t, r)
			fetch(t, c)
			for what, q := range map[string]Request{
				"after a good one": {Tip: tip, Base: base}, "on first contact": {Tip: tip, TrustedFrom: base},
			} {
				q.Verify = &Verification{Allowed: []byte(tt.allowed), Now: now}
				if tt.want != "" {
					rejected(t, c.Dir, q, "verify", tt.want)
					continue
				}
				s := selected(t, c.Dir, q)
				if s.Rejected != nil || tip != base && !strings.HasPrefix(s.SignedBy, "alice@example.com SHA256:") {
					t.Errorf("%s: Select = %+v, want it signed by alice", what, s)
				}
			}
		})
	}
}

// TestAnAbbreviationTrustsNobody: who may push but not sign makes a commit whose hash begins as
// trusted_from does. Here it is the other way about, which Select cannot tell apart.
func TestAnAbbreviationTrustsNobody(t *testing.T) {
	nstest.Need(t, "git", "ssh-keygen")
	v := &Verification{Allowed: []byte("alice@example.com " + newPerson(t, "alice").public), Now: time.Now()}
	r := gittest.New(t)
	first := r.CommitFile("cluster.hcl", "zero")
	r.Git("checkout", "-q", "--orphan", "strange")
	r.CommitFile("cluster.hcl", "strange")
	r.Git("branch", "-q", "-M", "main")
	c := source(t, r)
	strange := fetch(t, c)
	for _, n := range []int{7, 39} {
		rejected(t, c.Dir, Request{Tip: strange, TrustedFrom: strange[:n], Verify: v}, "select", strange[:n], "write the whole hash", "git rev-parse")
	}
	rejected(t, c.Dir, Request{Tip: strange, TrustedFrom: first, Verify: v}, "select", "does not descend")
	// Who asks for no signature trusts whoever may push.
	for _, q := range []Request{{Tip: strange, TrustedFrom: strange[:7]}, {Tip: strange, TrustedFrom: strange, Verify: v}} {
		if s := selected(t, c.Dir, q); s.Rejected != nil {
			t.Errorf("Select(%+v): %v", q, s.Rejected)
		}
	}
}

// TestOpenPGP: keys of gpg count as well, unless they have expired or were revoked.
func TestOpenPGP(t *testing.T) {
	nstest.Need(t, "git", "gpg")
	home := t.TempDir()
	gpg := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "gpg", append([]string{"--homedir", home, "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("gpg %q: %v", args, err)
		}
		return string(out)
	}
	t.Cleanup(func() { _ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() })
	gpg("", "--quick-generate-key", "alice <alice@example.com>", "ed25519", "sign", "never")
	gpg("", "--quick-generate-key", "bob <bob@example.com>", "ed25519", "sign", "1y")
	program := filepath.Join(t.TempDir(), "gpg")
	if err := os.WriteFile(program, fmt.Appendf(nil, "#!/bin/sh\nexec gpg --homedir %q \"$@\"\n", home), 0o755); err != nil {
		t.Fatal(err)
	}
	r := gittest.New(t)
	base := r.CommitFile("cluster.hcl", "zero")
	commits := func(who string) string {
		r.Write("cluster.hcl", who+time.Now().String())
		r.Git("add", "-A")
		r.Git("-c", "gpg.program="+program, "-c", "user.signingkey="+who+"@example.com", "-c", "commit.gpgsign=true", "commit", "-q", "-m", who)
		return r.Git("rev-parse", "HEAD")
	}
	alice, bob := []byte(gpg("", "--armor", "--export", "alice@example.com")), []byte(gpg("", "--armor", "--export", "bob@example.com"))
	byAlice := commits("alice")
	byBob := commits("bob")
	c := source(t, r)
	fetch(t, c)
	now := time.Now()
	with := func(when time.Time, keys ...[]byte) *Verification { return &Verification{Keys: keys, Now: when} }

	s := selected(t, c.Dir, Request{Tip: byBob, Base: base, Verify: with(now, alice, bob)})
	if s.Rejected != nil || !strings.HasPrefix(s.SignedBy, "bob <bob@example.com> ") {
		t.Errorf("Select = %+v, want it signed by bob", s)
	}
	rejected(t, c.Dir, Request{Tip: byBob, Base: base, Verify: with(now, alice)}, "verify", `"bob" counts for nothing: who signed it with OpenPGP is no allowed signer`)
	rejected(t, c.Dir, Request{Tip: byBob, Base: byAlice, Verify: with(now.AddDate(2, 0, 0), alice, bob)}, "verify", "has expired")
	rejected(t, c.Dir, Request{Tip: byBob, Base: base, Verify: with(now, []byte("nonsense"))}, "verify", "OpenPGP key 1")

	finger := strings.Fields(strings.Split(gpg("", "--with-colons", "--list-keys", "bob@example.com"), "fpr:")[1])[0]
	finger = strings.Trim(finger, ":")
	certificate, err := os.ReadFile(filepath.Join(home, "openpgp-revocs.d", finger+".rev"))
	if err != nil {
		t.Fatal(err)
	}
	gpg(strings.Replace(string(certificate), ":-----BEGIN", "-----BEGIN", 1), "--import")
	revoked := []byte(gpg("", "--armor", "--export", "bob@example.com"))
	rejected(t, c.Dir, Request{Tip: byBob, Base: byAlice, Verify: with(now.Add(time.Minute), alice, revoked)}, "verify", "was revoked")
}
