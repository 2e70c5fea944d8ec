package gitsource

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/hareconcile/hareconcile/internal/gitsource/gittest"
)

// keys are a client's and a host's key and the files that name them.
type keys struct {
	t        *testing.T
	dir      string
	identity string
	client   ssh.PublicKey
	host     ssh.Signer
}

func newKeys(t *testing.T) keys {
	t.Helper()
	k := keys{t: t, dir: t.TempDir()}
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		t.Fatal(err)
	}
	k.identity = k.file("identity", string(pem.EncodeToMemory(block)))
	if k.client, err = ssh.NewPublicKey(pub); err != nil {
		t.Fatal(err)
	}
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if k.host, err = ssh.NewSignerFromKey(hostKey); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k keys) file(name, content string) string {
	k.t.Helper()
	name = filepath.Join(k.dir, name)
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		k.t.Fatal(err)
	}
	return name
}

func (k keys) knownHosts(addr string) string {
	k.t.Helper()
	return k.file("known_hosts", knownhosts.Line([]string{addr}, k.host.PublicKey())+"\n")
}

// serveSSH answers `git-upload-pack` for the client's key with the real git.
func serveSSH(t *testing.T, k keys) string {
	t.Helper()
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(k.client.Marshal()) {
			return nil, os.ErrPermission
		}
		return nil, nil
	}}
	config.AddHostKey(k.host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveSSHConn(t, conn, config)
		}
	}()
	return l.Addr().String()
}

func serveSSHConn(t *testing.T, conn net.Conn, config *ssh.ServerConfig) {
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for nc := range channels {
		ch, requests, err := nc.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			if r.Type != "exec" {
				_ = r.Reply(false, nil)
				continue
			}
			_ = r.Reply(true, nil)
			var line struct{ Command string }
			_ = ssh.Unmarshal(r.Payload, &line)
			path := strings.Trim(strings.TrimPrefix(line.Command, "git-upload-pack "), "'")
			cmd := exec.CommandContext(t.Context(), "git", "upload-pack", path)
			cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
			code := byte(0)
			in, err := cmd.StdinPipe() // not Stdin: Wait would wait for the client to hang up
			if err == nil {
				go func() { _, _ = io.Copy(in, ch) }()
				err = cmd.Run()
			}
			if err != nil {
				code = 1
			}
			_, _ = ch.SendRequest("exit-status", false, []byte{0, 0, 0, code})
			_ = ch.Close()
		}
	}
}

func TestFetchOverSSH(t *testing.T) {
	w := gittest.New(t)
	first := w.CommitFile("cluster.hcl", "one")
	k := newKeys(t)
	addr := serveSSH(t, k)
	t.Setenv("SSH_AUTH_SOCK", "/nonexistent")
	c := source(t, w)
	c.URL, c.Identity, c.KnownHosts = "ssh://git@"+addr+w.Dir, k.identity, k.knownHosts(addr)
	if got := fetch(t, c); got != first {
		t.Fatalf("Fetch = %s, want %s", got, first)
	}
	second := w.CommitFile("cluster.hcl", "two")
	if got := fetch(t, c); got != second {
		t.Errorf("Fetch = %s, want %s", got, second)
	}

	other := c
	other.KnownHosts = k.file("empty", "")
	fetchError(t, other, "is not in "+other.KnownHosts)
	other.KnownHosts = newKeys(t).knownHosts(addr)
	fetchError(t, other, "is not its key in")
	other.KnownHosts = k.dir + "/missing"
	fetchError(t, other, "known_hosts_file")
	other.KnownHosts = ""
	fetchError(t, other, "needs known_hosts_file")
	other = c
	other.Identity = newKeys(t).identity
	fetchError(t, other, "unable to authenticate")
	other.Identity = k.file("junk", "junk")
	fetchError(t, other, "identity_file")
	other = c
	other.URL = "ssh://git@" + addr + "/nonexistent"
	fetchError(t, other, "repository not found")
}

func TestFetchOverHTTPS(t *testing.T) {
	w := gittest.New(t)
	first := w.CommitFile("cluster.hcl", "one")
	s, ca := w.ServeHTTPS("s3cr3t-token", func(rw http.ResponseWriter, r *http.Request) bool {
		away := strings.HasPrefix(r.URL.Path, "/away/")
		if away {
			http.Redirect(rw, r, "https://localhost:1"+r.URL.Path, http.StatusFound)
		}
		return away
	})
	k := newKeys(t)
	c := source(t, w)
	c.URL, c.CAFile, c.TokenFile = s.URL+"/work/.git", ca, k.file("token", "s3cr3t-token\n")
	if got := fetch(t, c); got != first {
		t.Fatalf("Fetch = %s, want %s", got, first)
	}
	second := w.CommitFile("cluster.hcl", "two")
	if got := fetch(t, c); got != second {
		t.Errorf("Fetch = %s, want %s", got, second)
	}

	other := c
	other.TokenFile = ""
	fetchError(t, other, "set token_file")
	other.TokenFile = k.file("wrong", "wrong")
	fetchError(t, other, "is not accepted")
	other.TokenFile = k.file("two", "a\nb")
	fetchError(t, other, "must hold one line")
	other = c
	other.CAFile = ""
	fetchError(t, other, "certificate")
	other.CAFile = k.file("noca", "junk")
	fetchError(t, other, "holds no certificate")
	other = c
	other.URL = s.URL + "/away/x.git"
	fetchError(t, other, "redirects to https://localhost:1: refused")
	other.URL = s.URL + "/none.git"
	fetchError(t, other, "not found")
}
