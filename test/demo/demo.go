package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/lab"
	"github.com/hareconcile/hareconcile/test/scene"
)

// The reference lab's names and numbers.
const (
	vip     = "172.25.254.100"
	service = "tcp " + vip + ":80"
	rs1     = "172.25.254.110:80"
	rs2     = "172.25.254.120:80"
	web     = "web-80"
)

var (
	nodes     = []string{"ka1", "ka2", "rs1", "rs2"}
	directors = []string{"ka1", "ka2"}
)

// A demo is a lab, the operator's clone of its repository, and what was measured.
type demo struct {
	play    play
	out     io.Writer
	start   time.Time
	dir     string // of this run
	example string // a copy of the play's
	clone   string // where the operator works
	s       *scene.Scene
	commit  string // what was pushed last and is in force
	figures []string
	number  int
}

func (d *demo) title(text string) {
	d.number++
	fmt.Fprintf(d.out, "\n[%5.1fs] %d. %s\n", time.Since(d.start).Seconds(), d.number, text)
}

// say prints one line or more below the step's title.
func (d *demo) say(format string, a ...any) {
	for line := range strings.SplitSeq(strings.TrimRight(fmt.Sprintf(format, a...), "\n"), "\n") {
		fmt.Fprintf(d.out, "         %s\n", line)
	}
}

// figure keeps a number for the summary.
func (d *demo) figure(what, format string, a ...any) {
	d.figures = append(d.figures, fmt.Sprintf("%-58s %s", what, fmt.Sprintf(format, a...)))
}

func (d *demo) finish() {
	d.figure("the whole demo", "%.0f s", time.Since(d.start).Seconds())
	fmt.Fprintf(d.out, "\nEvery step was observed. Figures:\n")
	for _, f := range d.figures {
		fmt.Fprintln(d.out, "  "+f)
	}
}

// up builds the lab with a cluster that so far has nothing but its nodes.
func (d *demo) up(ctx context.Context, bin string) error {
	d.start = time.Now()
	d.clone = filepath.Join(d.dir, filepath.Base(d.play.example))
	loadClient := filepath.Join(d.dir, "load")
	if err := scene.Build(ctx, ".", "./test/load", loadClient); err != nil {
		return err
	}
	// A copy is a lab of its own, even if the example's is up.
	d.example = filepath.Join(d.dir, "example")
	if err := os.CopyFS(d.example, os.DirFS(d.play.example)); err != nil {
		return err
	}
	d.title("hareconcile lab up " + d.play.example)
	c, err := lab.Up(ctx, d.example, lab.Options{
		Bin: bin, Report: os.Stderr, First: map[string][]byte{"cluster.hcl": []byte(d.play.bare)},
		Say: func(s string) { d.say("%s", s) },
	})
	if err != nil {
		return err
	}
	d.s = &scene.Scene{Client: c, LoadClient: loadClient}
	d.say("%s are up; the nodes pull\n%s.", d.play.cast, c.Repository())
	if err := d.git(ctx, d.dir, "clone", "-q", c.Repository(), d.clone); err != nil {
		return errors.Join(err, d.down(ctx))
	}
	return nil
}

func (d *demo) down(ctx context.Context) error {
	_, err := lab.Down(context.WithoutCancel(ctx), d.s.Name())
	return err
}

// remove ends the lab and checks that nothing of it is left.
func (d *demo) remove(ctx context.Context) error {
	d.title("hareconcile lab down")
	if err := d.down(ctx); err != nil {
		return err
	}
	if _, err := os.Stat(d.s.Repository()); err == nil {
		return fmt.Errorf("%s is still there", d.s.Repository())
	}
	if _, err := lab.Open(d.s.Name()); !errors.Is(err, lab.ErrDown) {
		return fmt.Errorf("the lab is still up: %w", err)
	}
	d.say("Processes, namespaces, links and files of the lab are gone.")
	return nil
}

// git runs git as the operator.
func (d *demo) git(ctx context.Context, dir string, args ...string) error {
	args = append([]string{"-c", "user.name=operator", "-c", "user.email=operator@localhost"}, args...)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", strings.Join(args[4:], " "), err, out)
	}
	return nil
}

// push writes cluster.hcl, commits it and pushes it.
func (d *demo) push(ctx context.Context, text, message string) (string, error) {
	if err := d.write(text); err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"add", "-A"}, {"commit", "-q", "-m", message}, {"push", "-q", "origin", "HEAD:main"},
	} {
		if err := d.git(ctx, d.clone, args...); err != nil {
			return "", err
		}
	}
	out, err := exec.CommandContext(ctx, "git", "-C", d.clone, "rev-parse", "HEAD").Output()
	if err != nil {
		return "", fmt.Errorf("git rev-parse: %w", err)
	}
	commit := strings.TrimSpace(string(out))
	d.say("$ git commit -am %q && git push     -> %.7s", message, commit)
	return commit, nil
}

func (d *demo) write(text string) error {
	return os.WriteFile(filepath.Join(d.clone, "cluster.hcl"), []byte(text), 0o644)
}

func (d *demo) read() (string, error) {
	b, err := os.ReadFile(filepath.Join(d.clone, "cluster.hcl"))
	return string(b), err
}

// onAll runs f for every node at once.
func (d *demo) onAll(names []string, f func(name string) error) error {
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for k, name := range names {
		wg.Go(func() { errs[k] = f(name) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// weight returns an error unless a node's table has the server at that weight.
func (d *demo) weight(ctx context.Context, node, server string, want int) error {
	t, err := d.s.Table(ctx, node)
	if err != nil {
		return err
	}
	if w, ok := t.Weight(service, server); !ok || w != want {
		return fmt.Errorf("on %s the weight of %s is %d (there: %v), want %d", node, server, w, ok, want)
	}
	return nil
}

// holders returns an error unless exactly that node has the virtual address.
func (d *demo) holder(ctx context.Context, want string) error {
	got, err := d.s.Holders(ctx, vip)
	if err != nil {
		return err
	}
	if len(got) != 1 || got[0] != want {
		return fmt.Errorf("%s is on %v, want it on %s alone", vip, got, want)
	}
	return nil
}

// noChanges checks that plan has nothing to say on the named nodes.
func (d *demo) noChanges(ctx context.Context, names ...string) error {
	return d.onAll(names, func(node string) error {
		r, err := d.s.Exec(ctx, node, "hareconcile", "plan", "-detailed-exitcode")
		if err != nil {
			return err
		}
		if r.Code != 0 || !strings.HasPrefix(r.Stdout, "No changes.") {
			return fmt.Errorf("plan on %s: exit code %d, %s%s", node, r.Code, r.Stdout, r.Stderr)
		}
		return nil
	})
}

// table prints what ipvsadm shows on a node.
func (d *demo) table(ctx context.Context, node string) error {
	out, err := d.s.Output(ctx, node, "ipvsadm", "-Ln")
	if err != nil {
		return err
	}
	d.say("%s$ ipvsadm -Ln\n%s", node, out)
	return nil
}

// load starts the client at a rate that the slowest kernel bears.
func (d *demo) load(ctx context.Context, args ...string) *scene.Load {
	return d.s.Load(ctx, "client", append([]string{"-address", netip.MustParseAddr(vip).String() + ":80"}, args...)...)
}

// service returns the state of a supervised program.
func (d *demo) service(ctx context.Context, host, name string) (lab.ServiceStatus, error) {
	st, err := d.s.Status(ctx)
	if err != nil {
		return lab.ServiceStatus{}, err
	}
	v, ok := st.Service(host, name)
	if !ok {
		return v, fmt.Errorf("host %s has no service %s", host, name)
	}
	return v, nil
}

// logs prints the end of what every program said, to explain a failure.
func (d *demo) logs() {
	for _, host := range []string{"ka1", "ka2", "rs1", "rs2"} {
		for _, name := range []string{"vrrpd", "agent", "haproxy", web} {
			b, err := os.ReadFile(d.s.Log(host, name))
			if err != nil {
				continue // the host has no such service
			}
			lines := strings.Split(strings.TrimSpace(string(b)), "\n")
			d.say("%s %s:\n%s", host, name, strings.Join(lines[max(0, len(lines)-12):], "\n"))
		}
	}
}
