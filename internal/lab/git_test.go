package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// TestAgentConfigWithAGitServerIsAccepted has both kinds of servers.
func TestAgentConfigWithAGitServerIsAccepted(t *testing.T) {
	for url, g := range map[string]spec.LabGit{
		"ssh://git@git/run/lab/x/repo.git": {Name: "git", SSH: true},
		"https://git/repo.git":             {Name: "git", HTTPS: true},
	} {
		f := &forge{LabGit: g, repo: "/run/lab/x/repo.git"}
		a, ds := hcl.ParseAgent("agent.hcl", []byte(agentConfig("n1", settings{bin: "/opt/bin", interval: time.Second, trusted: strings.Repeat("a1", 20), forge: f})))
		if a == nil {
			t.Fatal(ds)
		}
		if a.Source.URL != url || a.Webhook == nil || a.Webhook.SecretFile == "" {
			t.Errorf("agent = %+v, want %s and a webhook with a secret", a, url)
		}
	}
}

// TestGitServer asks a lab's git server with the real git, over the lab's network.
func TestGitServer(t *testing.T) {
	nstest.Need(t, "root", "netns", "nginx", "git", "sshd")
	dir, bin := folders(t)
	write(t, filepath.Join(dir, "lab.hcl"), testLab+"\ngit \"forge\" {}\n")
	c, err := Up(t.Context(), dir, Options{Bin: bin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := Down(context.Background(), c.Name()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		for _, s := range []string{"sshd", "forge"} {
			if b, err := os.ReadFile(c.Log("forge", s)); t.Failed() {
				t.Logf("%s: %s %v", s, b, err)
			}
		}
	})
	const keys = "cd /etc/hareconcile && export GIT_SSH_COMMAND='ssh -i /etc/hareconcile/id_ed25519 -o BatchMode=yes -o UserKnownHostsFile=/etc/hareconcile/known_hosts' GIT_TERMINAL_PROMPT=0 && "
	over := map[string]string{"ssh": "ssh://git@forge" + c.Repository(), "https": `https://x:$(cat git.token)@forge/` + repository}
	https := "git -c http.sslCAInfo=git-ca.pem "
	eventually(t, func() string {
		for _, line := range []string{keys + "git ls-remote " + over["ssh"], keys + https + "ls-remote " + over["https"]} {
			if out, code := sh(t, c, "a", line, ""); code != 0 {
				return out
			}
		}
		return ""
	})
	want := func(line string, good bool, says string) {
		t.Helper()
		out, code := sh(t, c, "client", keys+line, "")
		if (code == 0) != good || !strings.Contains(out, says) {
			t.Errorf("%s: code %d with %q, want success = %t and %q", line, code, out, good, says)
		}
	}
	const commit = "-c user.name=Ada -c user.email=ada@example.org commit -q --allow-empty -m"
	want("git clone -q "+over["ssh"]+" /run/work && git -C /run/work "+commit+" one && git -C /run/work push -q origin HEAD:main", true, "")
	want(https+"clone -q "+over["https"]+" /run/work2 && cd /run/work2 && "+
		"git "+commit+" two && git -c http.sslCAInfo=/etc/hareconcile/git-ca.pem push -q origin HEAD:main", true, "")
	want("git ls-remote "+over["https"], false, "certificate")
	want(https+"ls-remote https://x:wrong@forge/"+repository, false, "Authentication failed")
	want("$GIT_SSH_COMMAND git@forge id", false, "unrecognized command")
	want("ssh -o BatchMode=yes -o UserKnownHostsFile=known_hosts git@forge id", false, "Permission denied")
	if n, err := git(t.Context(), c.Repository(), nil, "rev-list", "--count", "main"); err != nil || n != "3" {
		t.Errorf("main has %q commits, %v, want the lab's own and two pushes", n, err)
	}
	if _, err := c.PushFiles(t.Context(), map[string][]byte{"cluster.hcl": []byte(testCluster)}, "Push from outside"); err != nil {
		t.Error(err)
	}
	eventually(t, func() string {
		if b, err := os.ReadFile(c.Log("forge", "forge")); err != nil || !strings.Contains(string(b), "http://192.0.2.2:9273/hook") {
			return "the git server has told no agent of a push" // these agents do not listen, which it logs
		}
		return ""
	})
}

// testSignedPush lets git itself judge the signature.
func testSignedPush(t *testing.T, c *Client) {
	commit, err := c.PushSigned(t.Context(), map[string][]byte{"cluster.hcl": []byte(testCluster)}, "Sign one file\n\nand say so", c.Signer())
	if err != nil {
		t.Fatal(err)
	}
	allowed := filepath.Join(t.TempDir(), "allowed")
	b, err := c.ReadFile(t.Context(), "a", "/etc/hareconcile/allowed_signers")
	if err != nil {
		t.Fatal(err)
	}
	write(t, allowed, string(b))
	if _, err := git(t.Context(), c.Repository(), nil, "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", commit); err != nil {
		t.Error(err)
	}
	text, err := git(t.Context(), c.Repository(), nil, "log", "-1", "--format=%H %P %s|%b", "main")
	if err != nil || !strings.HasPrefix(text, commit+" ") || len(strings.Fields(text)[1]) != 40 || !strings.Contains(text, "Sign one file|and say so") {
		t.Errorf("main is %q, %v, want the signed commit %s with a parent", text, err, commit)
	}
}
