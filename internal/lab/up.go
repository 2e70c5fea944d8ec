package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/internal/uml"
)

// upTimeout bounds how long a lab may take until its daemon answers.
const upTimeout = time.Minute

// Options are what the caller of Up may choose.
type Options struct {
	// Bin is the folder of the program's binaries; default: the running program's folder.
	Bin string
	// Say gets a sentence for everything that a person should know; may be nil.
	Say func(string)
	// Report gets the diagnostics of bad files; may be nil.
	Report io.Writer
	// Interval is how often agents fetch; 0 chooses one that the machine can bear.
	Interval time.Duration
	// First are the files of the repository's first commit; default: those of the folder.
	First map[string][]byte
	// UML moves the lab into User-Mode Linux even where the kernel could do without.
	UML bool
}

// Up builds the lab of the cluster in the folder dir and returns once its daemon answers.
func Up(ctx context.Context, dir string, o Options) (*Client, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("the lab makes network namespaces, which only root may do; run it as root")
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	name, err := NameOf(dir)
	if err != nil {
		return nil, err
	}
	c, l, err := load(dir, o.Report)
	if err != nil {
		return nil, err
	}
	if o.Bin, err = binaries(o.Bin, c, l); err != nil {
		return nil, err
	}
	if err := chooseKernel(c, &o); err != nil {
		return nil, err
	}
	unlock, err := lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	home := filepath.Join(root, name)
	if alive(home) {
		return nil, fmt.Errorf("the lab of %s is up already; end it with: hareconcile lab down %s", dir, Quote(dir))
	}
	if left, err := Down(ctx, name); err != nil {
		return nil, err
	} else if left {
		o.Say("Removed what an earlier lab left behind.")
	}
	cl := &Client{dir: home}
	if err := cl.build(ctx, dir, c, l, o); err != nil {
		_, downErr := Down(context.WithoutCancel(ctx), name)
		return nil, errors.Join(err, downErr)
	}
	return cl, nil
}

// binaries returns the folder of the program's binaries and checks that all programs are there.
func binaries(dir string, c *spec.Cluster, l *spec.Lab) (string, error) {
	if dir == "" {
		exe, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("find the running program: %w", err)
		}
		dir = filepath.Dir(exe)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(dir, "/run/") {
		return "", fmt.Errorf("the program is in %s, and every host of a lab has a /run of its own; copy it elsewhere", dir)
	}
	need := []string{"hareconcile"}
	if len(c.Instances) > 0 {
		need = append(need, "hareconcile-vrrpd")
	}
	for _, name := range need {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("the lab needs %s beside this program: %w", name, err)
		}
	}
	if len(l.Serves) > 0 {
		if _, err := os.Stat(webServer); err != nil {
			return "", fmt.Errorf("lab.hcl has web servers, which are nginx (Debian package nginx-light): %w", err)
		}
	}
	if l.Git != nil {
		for _, program := range []string{sshServer, gitShell, gitBackend} {
			if _, err := os.Stat(program); err != nil {
				return "", fmt.Errorf("lab.hcl has a git server, which is OpenSSH's and git's (Debian packages openssh-server and git): %w", err)
			}
		}
	}
	if len(c.HAProxies) > 0 {
		if _, err := os.Stat(proxyServer); err != nil {
			return "", fmt.Errorf("the cluster has haproxy, which the lab starts (Debian package haproxy): %w", err)
		}
	}
	return dir, nil
}

// chooseKernel decides whether the lab runs in User-Mode Linux.
func chooseKernel(c *spec.Cluster, o *Options) error {
	if !o.UML {
		if len(c.VirtualServers) == 0 || haveIPVS() {
			return nil
		}
		o.Say("This kernel has no IPVS (module ip_vs), which the cluster's virtual servers need, so the lab moves into User-Mode Linux.")
	}
	if _, err := uml.Lookup(); err != nil {
		return err
	}
	o.UML = true
	return nil
}

// haveIPVS reports whether the kernel has IPVS, and loads it if it can.
func haveIPVS() bool {
	const table = "/proc/net/ip_vs"
	if _, err := os.Stat(table); err == nil {
		return true
	}
	_ = exec.Command("modprobe", "ip_vs").Run()
	_, err := os.Stat(table)
	return err == nil
}

// build makes the lab's folder and repository and starts its process.
func (c *Client) build(ctx context.Context, dir string, cl *spec.Cluster, l *spec.Lab, o Options) error {
	for _, name := range []string{"log", guestFolder} {
		if err := os.MkdirAll(filepath.Join(c.dir, name), 0o755); err != nil {
			return err
		}
	}
	files := o.First
	if files == nil {
		var err error
		if files, err = readFiles(dir); err != nil {
			return fmt.Errorf("read %s: %w", dir, err)
		}
	}
	first, err := makeRepository(ctx, c.Repository(), files, "Begin with the cluster of "+c.Name())
	if err != nil {
		return err
	}
	if o.Interval == 0 {
		o.Interval = time.Second
		if o.UML {
			o.Interval = 10 * time.Second // one slow CPU for all nodes, which hear of a push at once
		}
	}
	allowed, err := makeSigner(c.Signer())
	if err != nil {
		return err
	}
	s := settings{name: c.Name(), dir: c.dir, bin: o.Bin, trusted: first, interval: o.Interval, uml: o.UML, signers: allowed}
	if l.Git != nil {
		keys, err := newForgeKeys(*l.Git)
		if err != nil {
			return err
		}
		s.forge = &forge{*l.Git, keys, c.Repository()}
		if l.Git.Signed {
			if err := os.WriteFile(filepath.Join(c.dir, signedMark), nil, 0o644); err != nil {
				return err
			}
		}
	}
	cfg, err := topology(cl, l, s)
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(cfg, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.dir, "config.json"), b, 0o600); err != nil {
		return err
	}
	return c.launch(ctx, cfg)
}

// launch starts the lab's process and waits until it answers.
func (c *Client) launch(ctx context.Context, cfg config) error {
	cmd, err := spawn(cfg)
	if err != nil {
		return fmt.Errorf("start the lab's process: %w", err)
	}
	gone := make(chan struct{})
	go func() { // ends with the lab or with this program
		_ = cmd.Wait()
		close(gone)
	}()
	b, err := json.Marshal(record{cmd.Process.Pid, startOf(cmd.Process.Pid)})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.dir, recordName), b, 0o644); err != nil {
		_ = cmd.Process.Kill()
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for {
		if _, err := c.Status(ctx); err == nil {
			return nil
		}
		select {
		case <-t.C:
		case <-gone:
			return fmt.Errorf("the lab's process ended:\n%s", c.tail())
		case <-ctx.Done():
			return fmt.Errorf("wait for the lab's daemon: %w\n%s", ctx.Err(), c.tail())
		}
	}
}

// tail returns the end of the lab's own log.
func (c *Client) tail() string {
	b, err := os.ReadFile(filepath.Join(c.dir, logName))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b[max(0, len(b)-4000):]))
}

// lock makes sure that one program at a time builds labs.
func lock(ctx context.Context) (func(), error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(root+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		select {
		case <-t.C:
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		}
	}
	return func() { _ = f.Close() }, nil
}
