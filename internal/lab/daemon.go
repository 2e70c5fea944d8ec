package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// systemPath is where commands are looked for, behind the folder of the lab's own binaries.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A daemon holds the hosts of one lab and answers requests.
type daemon struct {
	cfg   config
	log   *slog.Logger
	hosts []*host
	// services are in the order of hosts and, on a host, of its plan.
	services []*service
	mu       sync.Mutex // guards the hosts' cut
}

// runDaemon builds the lab and serves requests until ctx ends or the listener fails.
func runDaemon(ctx context.Context, cfg config, l net.Listener, log *slog.Logger) error {
	d := &daemon{cfg: cfg, log: log}
	if err := d.build(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, s := range d.services {
		wg.Go(func() { s.run(ctx) })
	}
	wg.Go(func() { d.trimLogs(ctx) })
	wg.Go(func() { d.announce(ctx) })
	wg.Go(func() { started.reap(ctx) })
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	err := d.serve(ctx, l)
	if ctx.Err() != nil {
		err = nil
	}
	stop()
	cancel()
	wg.Wait()
	return err
}

// build makes hosts, links and services. What exists after an error ends with the process.
func (d *daemon) build() error {
	segments, err := bridges(d.cfg.Segments)
	if err != nil {
		return err
	}
	repo := filepath.Join(d.cfg.Dir, repository)
	for n, p := range d.cfg.Hosts {
		h, err := newHost(p, repo)
		if err != nil {
			return err
		}
		if err := h.connect(n, segments); err != nil {
			return err
		}
		d.hosts = append(d.hosts, h)
		for _, sp := range p.Services {
			d.services = append(d.services, newService(h, sp, d.cfg.Dir, d.cfg.Delay, d.log))
		}
	}
	return nil
}

func (d *daemon) trimLogs(ctx context.Context) {
	t := time.NewTicker(10 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			for _, s := range d.services {
				s.trimLog()
			}
		case <-ctx.Done():
			return
		}
	}
}

func (d *daemon) serve(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return fmt.Errorf("accept a request: %w", err)
		}
		wg.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			defer stop()
			defer c.Close()
			if err := d.handle(ctx, c); err != nil {
				d.log.Info("request ended early", "err", err)
			}
		})
	}
}

// handle answers the one request of a connection.
func (d *daemon) handle(ctx context.Context, c net.Conn) error {
	r, w := bufio.NewReader(c), &frameWriter{w: c}
	var q request
	if err := readJSON(r, frameRequest, &q); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return fmt.Errorf("read request: %w", err)
	}
	var a reply
	var err error
	switch q.Op {
	case "status":
		a.Status = d.status()
	case "exec":
		a.Code, err = d.exec(ctx, q, r, w)
	case "read":
		a.Data, err = d.readFile(q.Host, q.Path)
	case "dial":
		return d.dial(q, r, c, w)
	case "start", "stop", "kill":
		err = d.control(q)
	case "cut", "mend":
		err = d.setCut(q.Host, q.Op == "cut")
	default:
		err = fmt.Errorf("the lab knows no request %q", q.Op)
	}
	if err != nil {
		a.Error = err.Error()
	}
	return w.writeJSON(frameReply, a)
}

func (d *daemon) status() *Status {
	s := &Status{
		Name: d.cfg.Name, Dir: d.cfg.Dir, UML: d.cfg.UML,
		Repository: filepath.Join(d.cfg.Dir, repository),
	}
	for _, h := range d.hosts {
		d.mu.Lock()
		hs := HostStatus{Name: h.plan.Name, Node: h.plan.Node, Cut: h.cut}
		d.mu.Unlock()
		hs.Addresses = h.addresses()
		for _, v := range d.services {
			if v.host == h {
				hs.Services = append(hs.Services, v.snapshot())
			}
		}
		s.Hosts = append(s.Hosts, hs)
	}
	return s
}

// control starts, stops or signals a service.
func (d *daemon) control(q request) error {
	if _, err := d.host(q.Host); err != nil {
		return err
	}
	for _, s := range d.services {
		if s.host.plan.Name != q.Host || s.plan.Name != q.Service {
			continue
		}
		if q.Op == "kill" {
			return s.kill(syscall.Signal(q.Signal))
		}
		s.want(q.Op == "start")
		return nil
	}
	return fmt.Errorf("host %q has no service %q", q.Host, q.Service)
}

func (d *daemon) setCut(name string, cut bool) error {
	h, err := d.host(name)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	h.cut = cut
	return h.setCut(cut)
}

func (d *daemon) host(name string) (*host, error) {
	for _, h := range d.hosts {
		if h.plan.Name == name {
			return h, nil
		}
	}
	return nil, fmt.Errorf("the lab has no host %q", name)
}

// readConfig reads what Up wrote.
func readConfig(dir string) (config, error) {
	var c config
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return c, fmt.Errorf("read the lab's configuration: %w", err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("read the lab's configuration: %w", err)
	}
	return c, nil
}
