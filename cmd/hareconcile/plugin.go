package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/pluginhost"
	"github.com/hareconcile/hareconcile/internal/spawn"
	"github.com/hareconcile/hareconcile/plugins/sdk/conformance"
)

// A pluginVerb is one row of plugin's own table.
type pluginVerb struct {
	name    string
	args    string
	summary string
	run     func(ctx context.Context, e *env, fs *flag.FlagSet, args []string) error
}

func pluginVerbs() []pluginVerb {
	return []pluginVerb{
		{"list", "[-json] [-agent FILE] [DIR]", "print this host's plugins, and what of the cluster in DIR uses them", pluginList},
		{"lock", "[-agent FILE] [DIR]", "write hashes and schemas of the plugins that the cluster in DIR uses", pluginLock},
		{"check", "[-config JSON] [-timeout 5s] [-plain] [-reattach] [-json] [-agent FILE] NAME|PATH", "make one check, as the agent does", pluginCheck},
		{"verify", "[-config JSON] [-plain] [-json] [-agent FILE] PATH", "test whether a binary is a plugin to rely on", pluginVerify},
		{"new", "[-module PATH] [-dir DIR] [-sdk DIR] NAME", "write the start of a plugin in Go", pluginNew},
	}
}

func runPlugin(ctx context.Context, e *env, args []string) int {
	if len(args) == 0 {
		writePluginHelp(e.stderr)
		return exitError
	}
	if name := strings.TrimLeft(args[0], "-"); name == "help" || name == "h" {
		writePluginHelp(e.stdout)
		return exitOK
	}
	var names []string
	for _, v := range pluginVerbs() {
		names = append(names, v.name)
		if v.name != args[0] {
			continue
		}
		fs := flag.NewFlagSet("plugin "+v.name, flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		fs.Usage = func() {}
		return e.exit(v.run(ctx, e, fs, args[1:]))
	}
	return e.exit(fmt.Errorf("plugin has no command %q.%s\n\nTo see them, run: hareconcile plugin", args[0], hcl.DidYouMean(args[0], names)))
}

func writePluginHelp(w io.Writer) {
	fmt.Fprint(w, "Usage: hareconcile plugin COMMAND\n\nPlugins tell whether something on a node is up.\n\nCommands:\n")
	for _, v := range pluginVerbs() {
		fmt.Fprintf(w, "  %s %s\n      %s\n", v.name, v.args, v.summary)
	}
}

// pluginArgs parses the arguments of a plugin command, of which it takes at least least and at most one.
func pluginArgs(e *env, fs *flag.FlagSet, args []string, least int) error {
	err := parseMixed(fs, args)
	for _, v := range pluginVerbs() {
		if "plugin "+v.name != fs.Name() {
			continue
		}
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(e.stdout, "Usage: hareconcile plugin %s %s\n\n%s.\n\nOptions:\n", v.name, v.args, sentence(v.summary))
			fs.SetOutput(e.stdout)
			fs.PrintDefaults()
			return err
		}
		if err == nil && (fs.NArg() < least || fs.NArg() > 1) {
			err = errors.New("wrong number of arguments")
		}
		if err != nil {
			return fmt.Errorf("%w\n\nUsage: hareconcile plugin %s %s", err, v.name, v.args)
		}
	}
	return err
}

// agentFlag adds the flag that names agent.hcl; -config is a plugin's configuration here.
func agentFlag(fs *flag.FlagSet) *string {
	return fs.String("agent", defaultConfig, "the host's `FILE`, as the agent reads it: where plugins are and who runs them")
}

// A pluginRunner runs plugins as the agent does: as their user, unable to gain privileges.
type pluginRunner struct {
	dir     string
	who     spawn.Account
	starts  chan func() // closed by close
	stopped chan struct{}
}

// newPluginRunner returns a runner for the host of an agent.hcl. close has to be called.
func newPluginRunner(e *env, agent string) (*pluginRunner, error) {
	h, err := openHost(e, agent)
	if err != nil {
		return nil, err
	}
	p := h.cfg.Plugins
	if p.Dir == "" { // there is no agent.hcl
		p.Dir, p.User = "/usr/libexec/hareconcile/plugins", "hareconcile-plugin"
	}
	who, err := spawn.AccountFor(p.User)
	if err != nil {
		return nil, err
	}
	r := &pluginRunner{dir: p.Dir, who: who, starts: make(chan func()), stopped: make(chan struct{})}
	humbled := make(chan error)
	go r.run(humbled)
	return r, <-humbled
}

// run starts processes from a thread that cannot gain privileges, and neither can they. The
// thread ends with it.
func (r *pluginRunner) run(humbled chan<- error) {
	defer close(r.stopped)
	runtime.LockOSThread()
	humbled <- spawn.Humble()
	for start := range r.starts {
		start()
	}
}

func (r *pluginRunner) close() {
	close(r.starts)
	<-r.stopped
}

// options say how the binary at path is started.
func (r *pluginRunner) options(path, config string, plain bool) conformance.Options {
	return conformance.Options{
		Binary: path, Config: config, Plain: plain, Credential: r.who.Credential(),
		Launch: func(start func() error) error {
			done := make(chan error)
			r.starts <- func() { done <- start() }
			return <-done
		},
	}
}

// find returns the path of a binary: of a plugin by name, which the agent would run, with its
// hash, or of what a path with a slash names.
func (r *pluginRunner) find(arg string) (path, hash string, err error) {
	path = arg
	if !strings.Contains(arg, "/") {
		if !pluginhost.ValidName.MatchString(arg) {
			return "", "", fmt.Errorf("%q is neither the name of a plugin nor a path with a slash", clean(arg))
		}
		if path, hash, err = pluginhost.Inspect(r.dir, arg); err != nil {
			return "", "", err
		}
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", "", err
	}
	return path, hash, r.who.Reaches(filepath.Dir(path))
}
