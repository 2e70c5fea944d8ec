package lab

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// The programs behind a git block (Debian packages openssh-server and git).
const (
	sshServer  = "/usr/sbin/sshd"
	gitShell   = "/usr/bin/git-shell"
	gitBackend = "/usr/lib/git-core/git-http-backend"
)

// gitFolder holds what the git host's servers have, and folderOfAgent what a node's agent has.
const (
	gitFolder     = "/run/lab/git"
	folderOfAgent = "/etc/hareconcile"
)

// hookPort is where agents of a lab with a git server receive webhooks.
const hookPort = 9273

// A forge is a lab's git server: its host, and what it and those who ask it must know.
type forge struct {
	spec.LabGit
	keys forgeKeys
	repo string
}

// host returns the plan of the git server's host.
func (g *forge) host(l *spec.Lab, bin string, nodes []hostPlan) (hostPlan, error) {
	h := hostPlan{Name: g.Name, Git: true}
	k := slices.IndexFunc(l.Segments, func(seg spec.Segment) bool { return seg.Name == g.Segment })
	h.link(k, netip.PrefixFrom(g.Address, l.Segments[k].Prefix.Bits()))
	s := forgeConfig{Repository: g.repo, HTTPS: g.HTTPS, Token: g.keys.token, Secret: g.keys.secret}
	for _, n := range nodes {
		for _, link := range n.Links {
			if link.Segment == k {
				p, err := netip.ParsePrefix(link.Prefixes[0])
				if err != nil {
					return h, fmt.Errorf("address of %s: %w", n.Name, err)
				}
				s.Hooks = append(s.Hooks, fmt.Sprintf("http://%s/hook", netip.AddrPortFrom(p.Addr(), hookPort)))
			}
		}
	}
	b, err := json.Marshal(s)
	if err != nil {
		return h, err
	}
	h.secret(filepath.Join(gitFolder, "forge.json"), string(b))
	h.file(filepath.Join(gitFolder, "cert.pem"), g.keys.cert)
	h.secret(filepath.Join(gitFolder, "key.pem"), g.keys.certKey)
	h.Services = append(h.Services, servicePlan{"forge", []string{filepath.Join(bin, "hareconcile"), "internal", StageForge, gitFolder}, 0})
	if g.SSH {
		h.sshd(g.keys)
	}
	return h, nil
}

// sshd gives a host OpenSSH's server, which lets the agents' key run git and nothing else.
func (h *hostPlan) sshd(k forgeKeys) {
	h.Folders = append(h.Folders, "/run/sshd") // privilege separation, sshd(8)
	h.secret(filepath.Join(gitFolder, "host_key"), k.hostKey)
	h.file(filepath.Join(gitFolder, "authorized_keys"),
		fmt.Sprintf("restrict,command=%q %s\n", gitShell+` -c "$SSH_ORIGINAL_COMMAND"`, strings.TrimSpace(k.identityPublic)))
	h.file(filepath.Join(gitFolder, "sshd_config"), fmt.Sprintf(`Port 22
HostKey %[1]s/host_key
AuthorizedKeysFile %[1]s/authorized_keys
PermitRootLogin forced-commands-only
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PrintMotd no
PrintLastLog no
PidFile none
`, gitFolder))
	h.Services = append(h.Services, servicePlan{"sshd", []string{sshServer, "-D", "-e", "-f", filepath.Join(gitFolder, "sshd_config")}, 0})
}

// client gives a host what it needs to ask the git server.
func (g *forge) client(h *hostPlan) {
	in := func(name string) string { return filepath.Join(folderOfAgent, name) }
	h.secret(in("id_ed25519"), g.keys.identity)
	h.file(in("known_hosts"), fmt.Sprintf("%s,%s %s", g.Name, g.Address, g.keys.hostPublic))
	h.secret(in("git.token"), g.keys.token+"\n")
	h.file(in("git-ca.pem"), g.keys.cert)
	h.secret(in("webhook.secret"), g.keys.secret+"\n")
}

// sources returns the part of a node's agent.hcl that is about the git server.
func (g *forge) sources(s settings) string {
	var b strings.Builder
	const block = "source \"git\" %q {\n  url      = %q\n  ref      = { branch = \"main\" }\n  interval = %q\n"
	switch {
	case g.SSH:
		fmt.Fprintf(&b, block+"  identity_file    = \"/etc/hareconcile/id_ed25519\"\n  known_hosts_file = \"/etc/hareconcile/known_hosts\"\n}\n\n",
			"primary", "ssh://git@"+g.Name+g.repo, s.interval)
	case g.HTTPS:
		fmt.Fprintf(&b, block+"  token_file = \"/etc/hareconcile/git.token\"\n  ca_file    = \"/etc/hareconcile/git-ca.pem\"\n}\n\n",
			"mirror", "https://"+g.Name+"/"+filepath.Base(g.repo), s.interval)
	}
	fmt.Fprintf(&b, "webhook {\n  listen      = %q\n  secret_file = \"/etc/hareconcile/webhook.secret\"\n}\n", net.JoinHostPort("0.0.0.0", fmt.Sprint(hookPort)))
	return b.String()
}

// secret is file for what is nobody else's to read.
func (h *hostPlan) secret(path, content string) {
	h.Files = append(h.Files, filePlan{Path: path, Content: content, Mode: fs.FileMode(0o600)})
}
