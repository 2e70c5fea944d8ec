package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/pluginhost"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// How trackers look, in both programs.
const (
	trackInterval = time.Second
	trackFall     = 2
)

// A tracked is a folder with what is watched and who watches it. Unlike the bench's own
// folder, everybody may pass through it: plugins run as nobody.
type tracked struct {
	dir string
	cmd *exec.Cmd     // the haproxy
	end chan struct{} // closed when haproxy has ended and was reaped, as systemd would
}

func (w *tracked) socket() string { return filepath.Join(w.dir, "haproxy.sock") }
func (w *tracked) script() string { return filepath.Join(w.dir, "check.sh") }

// newTracked makes the folder, the plugin and keepalived's script, which is the cheapest way
// to ask for a process that a shell has: kill is built in.
func newTracked(ctx context.Context) (*tracked, error) {
	dir, err := os.MkdirTemp("", "hareconcile-tracks-")
	if err != nil {
		return nil, err
	}
	w := &tracked{dir: dir}
	plugins := filepath.Join(dir, "plugins")
	script := fmt.Sprintf("#!/bin/sh\nread -r pid < %s && kill -0 \"$pid\"\n", filepath.Join(dir, "pid"))
	config := fmt.Sprintf("global\n  stats socket %s mode 666 level user\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 9s\n  timeout server 9s\nfrontend fe\n  bind 127.0.0.1:8080\n", w.socket())
	return w, errors.Join(
		os.Chmod(dir, 0o755), os.Mkdir(plugins, 0o755),
		os.WriteFile(w.script(), []byte(script), 0o755),
		os.WriteFile(filepath.Join(dir, "haproxy.cfg"), []byte(config), 0o644),
		command(ctx, "go", "build", "-o", filepath.Join(plugins, "hareconcile-plugin-haproxy"), "./plugins/haproxy"),
	)
}

// start starts haproxy on a host.
func (w *tracked) start(ctx context.Context, ns string) error {
	w.cmd = inside(ctx, ns, "haproxy", "-f", filepath.Join(w.dir, "haproxy.cfg"), "-db")
	if err := w.cmd.Start(); err != nil {
		return fmt.Errorf("start haproxy: %w", err)
	}
	w.end = make(chan struct{})
	go func(cmd *exec.Cmd, end chan struct{}) {
		defer close(end)
		_ = cmd.Wait() // it is killed
	}(w.cmd, w.end)
	return os.WriteFile(filepath.Join(w.dir, "pid"), []byte(strconv.Itoa(w.cmd.Process.Pid)+"\n"), 0o644)
}

// kill ends haproxy without a word and returns when that was.
func (w *tracked) kill() time.Time {
	if w.cmd == nil {
		return time.Time{}
	}
	at := time.Now()
	_ = w.cmd.Process.Kill()
	<-w.end
	w.cmd = nil
	return at
}

func (w *tracked) close() error {
	w.kill()
	return os.RemoveAll(w.dir)
}

// keepalived adds tracks that run a program to the words for one host; the first is a gate,
// and so are the others.
func (w *tracked) keepalived(l layout, program string, tracks int) string {
	var b, names strings.Builder
	fmt.Fprintf(&b, "global_defs {\n\tscript_user root\n}\n")
	for n := range tracks {
		fmt.Fprintf(&b, "vrrp_script t%d {\n\tscript %q\n\tinterval %d\n\tfall %d\n\trise 1\n}\n", n, program, int(trackInterval.Seconds()), trackFall)
		fmt.Fprintf(&names, "\t\tt%d\n", n)
	}
	own := strings.TrimSuffix(strings.TrimSpace(l.keepalived(0)), "}")
	return b.String() + own + "\ttrack_script {\n" + names.String() + "\t}\n}\n"
}

// config is the same in our words, for vrrpd.
func (w *tracked) config(l layout, tracks int) channel.Config {
	c := l.config(0)
	var keys []string
	for n := range tracks {
		t := resource.VRRPTracker{Type: "plugin", Target: fmt.Sprintf("t%d", n), Hold: resource.Duration(time.Hour), OnUnknown: "down"}
		c.Trackers = append(c.Trackers, t)
		keys = append(keys, t.Key())
	}
	c.Instances[0].Gates = resource.NewList(keys...)
	return c
}

// runTracked does what the agent does with trackers of plugins: it runs the plugin, and tells
// vrrpd each verdict. Its arguments are a tracked's folder, vrrpd's socket and how many
// trackers there are.
func runTracked(args []string) error {
	if len(args) != 3 {
		return errors.New("want a folder, a socket and a number")
	}
	tracks, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	w := &tracked{dir: args[0]}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	config, err := json.Marshal(map[string]any{"socket": w.socket()})
	if err != nil {
		return err
	}
	var trackers []spec.Tracker
	for n := range tracks {
		trackers = append(trackers, spec.Tracker{
			Name: fmt.Sprintf("t%d", n), Plugin: "haproxy", Config: config, OnUnknown: "down", Hold: time.Hour,
			Interval: trackInterval, Timeout: trackInterval / 2, Rise: 1, Fall: trackFall,
		})
	}
	host := pluginhost.New(spec.Plugins{Dir: filepath.Join(w.dir, "plugins"), User: "nobody"},
		filepath.Join(w.dir, "run"), slog.New(slog.NewTextHandler(os.Stderr, nil)))
	host.Set(trackers, nil)
	kept := channel.NewKept(args[1])
	defer func() { _ = kept.Close() }() // the process ends
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return host.Run(ctx) })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case r := <-host.Results():
				states := map[resource.TrackerKey]string{"plugin/" + r.Tracker: string(r.Verdict)}
				if _, err := kept.Do(ctx, channel.Request{Track: &channel.Track{States: states}}); err != nil && ctx.Err() == nil {
					return fmt.Errorf("tell vrrpd: %w", err)
				}
			}
		}
	})
	return g.Wait()
}
