package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/hareconcile/hareconcile/internal/build"
	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

const clearScreen = "\x1b[H\x1b[2J"

func runStatus(ctx context.Context, e *env, args []string) int {
	fs := e.flags("status")
	config := configFlag(fs)
	asJSON := fs.Bool("json", false, "print JSON; with -watch one document a line")
	cluster := fs.Bool("cluster", false, "print all nodes, as this one hears of them")
	watch := fs.Bool("watch", false, "print again after every change, until interrupted")
	if err := e.parse(fs, args, 0); err != nil {
		return e.exit(err)
	}
	h, err := openHost(e, *config)
	if err != nil {
		return e.exit(err)
	}
	client, err := h.agent()
	if err != nil {
		return e.exit(err)
	}
	if client == nil {
		if *cluster {
			return e.exit(fmt.Errorf("no agent runs on this host, and only agents hear of each other: nobody listens on %s", h.cfg.Socket))
		}
		if err := e.showStatus(h.withoutAgent(ctx), *asJSON, writeStatus); err != nil {
			return e.exit(err)
		}
		return exitError
	}
	var write statusWriter = writeStatus
	if *cluster {
		write = writeCluster
	}
	if *watch {
		return e.exit(e.watchStatus(ctx, client, *asJSON, write))
	}
	s, err := client.Status(ctx)
	if err != nil {
		return e.exit(err)
	}
	return e.exit(e.showStatus(s, *asJSON, write))
}

// A statusWriter writes a status as it is at a moment, with colours or without.
type statusWriter func(w io.Writer, s control.Status, now time.Time, color bool) error

func (e *env) showStatus(s control.Status, asJSON bool, write statusWriter) error {
	if asJSON {
		return writeJSON(e.stdout, s)
	}
	return write(e.stdout, s, time.Now(), e.color)
}

// watchStatus prints every status: on a terminal in place of the last one, each second too
// because ages grow; elsewhere one after the other.
func (e *env) watchStatus(ctx context.Context, c *control.Client, asJSON bool, write statusWriter) error {
	if asJSON {
		enc := json.NewEncoder(e.stdout)
		return c.Watch(ctx, func(s control.Status) error { return enc.Encode(s) })
	}
	if !e.color {
		return c.Watch(ctx, func(s control.Status) error {
			if err := write(e.stdout, s, time.Now(), e.color); err != nil {
				return err
			}
			_, err := fmt.Fprintln(e.stdout)
			return err
		})
	}
	return watchTicking(ctx, c.Watch, func(s control.Status) error {
		fmt.Fprint(e.stdout, clearScreen)
		return write(e.stdout, s, time.Now(), e.color)
	})
}

// withoutAgent tells what can be told of a host whose agent does not run.
func (h *host) withoutAgent(ctx context.Context) control.Status {
	s := control.Status{
		FormatVersion: planfile.FormatVersion, Version: build.Version, Node: h.cfg.NodeName,
		Phase: control.Stopped, Message: "no agent is running: nobody listens on " + h.cfg.Socket,
		Source: control.Source{URL: h.cfg.Source.URL}, VRRPD: "up",
		Drift:     control.Drift{Last: []control.DriftItem{}},
		Instances: []control.Instance{}, Services: []control.Service{}, Trackers: []control.Tracker{}, Conflicts: []control.Conflict{},
	}
	s.Conditions = s.Judge(nil, time.Now())
	good, err := revision.NewStore(h.cfg.DataDir).LoadGood()
	switch {
	case err != nil:
		s.Message += "; " + err.Error()
	case good != nil:
		s.Cluster = good.Cluster.Name
		s.Revision = planfile.Revision{Ref: good.Ref, Commit: good.Commit, Subject: good.Subject}
	}
	st, err := askVRRPD(ctx, h.cfg.VRRPSocket)
	if err != nil {
		s.VRRPD = err.Error()
		return s
	}
	for _, i := range st.Instances {
		s.Instances = append(s.Instances, control.Instance{Name: i.Name, InstanceStatus: i})
	}
	return s
}

// askVRRPD asks hareconcile-vrrpd what it is doing.
func askVRRPD(ctx context.Context, path string) (*channel.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, err := channel.Dial(ctx, path)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r, err := c.Do(ctx, channel.Request{Version: channel.Version, Query: &channel.Query{}})
	switch {
	case err != nil:
		return nil, err
	case r.Error != "":
		return nil, fmt.Errorf("hareconcile-vrrpd: %s", r.Error)
	case r.Status == nil:
		return nil, fmt.Errorf("hareconcile-vrrpd gave no status")
	}
	return r.Status, nil
}
