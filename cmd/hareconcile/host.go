package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

// The places of a host that has no agent.hcl.
const (
	defaultConfig = "/etc/hareconcile/agent.hcl"
	maxConfig     = 1 << 20
	maxDocument   = planfile.MaxBytes // of a saved plan or a snapshot
)

// A host is this machine as agent.hcl describes it.
type host struct {
	cfg     spec.Agent
	runDir  string
	log     *slog.Logger
	proxies *haproxies
}

// configFlag adds the flag that names agent.hcl.
func configFlag(fs *flag.FlagSet) *string {
	return fs.String("config", defaultConfig, "the host's `FILE`, as the agent reads it")
}

// openHost reads agent.hcl. A host may do without the file, unless it was asked for by name.
func openHost(e *env, path string) (*host, error) {
	log := slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	b, err := readBounded(path, maxConfig)
	if errors.Is(err, fs.ErrNotExist) && path == defaultConfig {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("find this node's name: %w", err)
		}
		short, _, _ := strings.Cut(name, ".")
		cfg := spec.Agent{
			NodeName: short, DataDir: "/var/lib/hareconcile", RepoPolicyDir: "policies",
			Socket: "/run/hareconcile/agent.sock", VRRPSocket: "/run/hareconcile/vrrpd.sock",
		}
		return &host{cfg, filepath.Dir(cfg.Socket), log, &haproxies{node: cfg.NodeName, trust: cfg.HAProxy}}, nil
	}
	if err != nil {
		return nil, err
	}
	cfg, ds := hcl.ParseAgent(path, b)
	if err := e.diagnose(ds); err != nil {
		return nil, err
	}
	return &host{*cfg, filepath.Dir(cfg.Socket), log, &haproxies{node: cfg.NodeName, trust: cfg.HAProxy}}, nil
}

// agent returns a client of this host's agent, or nil if none runs.
func (h *host) agent() (*control.Client, error) {
	c, err := control.Dial(h.cfg.Socket)
	if errors.Is(err, control.ErrNoAgent) {
		return nil, nil
	}
	return c, err
}

// agentOrRoot returns a client of the agent, or nil for root where no agent runs: whoever
// may use the agent's socket needs no more.
func (h *host) agentOrRoot(what string) (*control.Client, error) {
	c, err := h.agent()
	if c == nil && err == nil && os.Geteuid() != 0 {
		return nil, fmt.Errorf("%s needs root: addresses, sysctls and the IPVS table belong to the kernel; "+
			"run it with sudo, or plan without root with: hareconcile plan -against SNAPSHOT DIR", what)
	}
	return c, err
}

// bootID returns the kernel's name for the time since it started.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// diagnose writes diagnostics to stderr and returns errSaid if one is an error.
func (e *env) diagnose(ds hcl.Diagnostics) error {
	if len(ds) > 0 {
		if err := ds.WriteText(e.stderr, false); err != nil {
			return err
		}
	}
	if ds.HasErrors() {
		return errSaid
	}
	return nil
}

// readBounded reads a regular file, or standard input's like, of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, path, limit)
}

func readAll(r io.Reader, name string, limit int64) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if n > limit {
		return nil, fmt.Errorf("%s is longer than %d MiB", name, limit>>20)
	}
	return b.Bytes(), nil
}

// A varFlag collects -var k=v.
type varFlag map[string]string

// String implements flag.Value.
func (v varFlag) String() string { return "" }

// Set implements flag.Value.
func (v varFlag) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return fmt.Errorf("want NAME=VALUE, got %q", s)
	}
	v[name] = value
	return nil
}
