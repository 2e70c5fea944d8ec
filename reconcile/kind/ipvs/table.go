// Package ipvs handles the kernel's table of virtual services and their servers.
package ipvs

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"

	"github.com/mdlayher/netlink"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// ErrNoModule is what everything fails with on a kernel without IPVS. It is a
// reconcile.ErrNotHere.
var ErrNoModule error = absent("the kernel module ip_vs is missing: load it with `modprobe ip_vs`")

// absent is the text of an error that speaks of the whole kind.
type absent string

// Error implements error.
func (a absent) Error() string { return string(a) }

// Is makes a what errors.Is calls a reconcile.ErrNotHere.
func (absent) Is(target error) bool { return target == reconcile.ErrNotHere }

// Available returns nil if this kernel has IPVS and ErrNoModule if it has not.
func Available() error {
	t := &table{dial: dialKernel}
	defer t.drop()
	return t.available()
}

// table is a connection to the kernel's table. It is made when it is first needed, since
// most nodes of a cluster are real servers and have no IPVS, and made anew after an error,
// since a module that was loaded again has another family number.
type table struct {
	dial func() (socket, uint16, error)
	mu   sync.Mutex
	conn *conn
}

// use runs f with a connection, which ends if f fails.
func (t *table) use(f func(*conn) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		s, family, err := t.dial()
		if errors.Is(err, fs.ErrNotExist) {
			return ErrNoModule
		}
		if err != nil {
			return fmt.Errorf("open IPVS: %w", err)
		}
		t.conn = newConn(s, family)
	}
	err := f(t.conn)
	if err != nil {
		t.close()
	}
	return err
}

func (t *table) close() {
	if t.conn != nil {
		_ = t.conn.socket.Close()
		t.conn = nil
	}
}

// drop forgets the connection.
func (t *table) drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.close()
}

func (t *table) available() error { return t.use(func(*conn) error { return nil }) }

// exists reports whether an object could not be made because it is there.
func exists(err error) bool { return errors.Is(err, syscall.EEXIST) }

// gone reports whether a service (ESRCH) or a server (ENOENT) is not there (ip_vs_ctl.c).
func gone(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ESRCH)
}

// change makes n changes at once: put appends the attributes of the i-th and returns its
// command. It returns the errors of those that the kernel refuses, by i. With an error
// nothing is known of any.
func (t *table) change(n int, put func(b []byte, i int) (cmd uint8, attrs []byte)) (map[int]error, error) {
	if n == 0 {
		return nil, nil
	}
	return t.refusals(func(c *conn, refuse func(i int, err syscall.Errno)) error {
		for i := 0; i < n; {
			from := i
			c.load.reset()
			for ; i < n && !c.load.full(); i++ {
				c.load.add(func(b []byte) (uint8, []byte) { return put(b, i) })
			}
			if err := c.change(&c.load, func(k int, err syscall.Errno) { refuse(from+k, err) }); err != nil {
				return err
			}
		}
		return nil
	})
}

// send is change for changes that l asks for.
func (t *table) send(l *load) (map[int]error, error) {
	if l.n == 0 {
		return nil, nil
	}
	return t.refusals(func(c *conn, refuse func(i int, err syscall.Errno)) error { return c.change(l, refuse) })
}

// refusals collects what f says was refused.
func (t *table) refusals(f func(c *conn, refuse func(i int, err syscall.Errno)) error) (map[int]error, error) {
	var refused map[int]error
	err := t.use(func(c *conn) error {
		return f(c, func(i int, err syscall.Errno) {
			if refused == nil {
				refused = map[int]error{}
			}
			refused[i] = err
		})
	})
	for _, err := range refused {
		if errors.Is(err, syscall.ENOENT) { // also what a family that is gone answers
			t.drop()
			break
		}
	}
	return refused, err
}

// changeOne is change for a single one.
func (t *table) changeOne(put func(b []byte) (cmd uint8, attrs []byte)) error {
	refused, err := t.change(1, func(b []byte, _ int) (uint8, []byte) { return put(b) })
	if err != nil {
		return err
	}
	return refused[0]
}

// query asks one question. each gets the connection's reader and the attributes of every
// answer; reset is called before the first, and again where a dump has to start over.
func (t *table) query(cmd uint8, flags netlink.HeaderFlags, attrs func(b []byte) []byte, reset func(), each func(r *reader, body []byte) error) error {
	ask := func(c *conn) error {
		err := errInterrupted
		for try := 0; try < 10 && errors.Is(err, errInterrupted); try++ {
			reset()
			err = c.query(cmd, flags, attrs, func(body []byte) error { return each(&c.reader, body) })
		}
		return err
	}
	err := t.use(ask)
	if errors.Is(err, syscall.ENOENT) { // no question of ours is answered so: the family is gone
		err = t.use(ask)
	}
	return err
}

func nothing(b []byte) []byte { return b }

// services lists the services that a cluster file could ask for.
func (t *table) services() ([]resource.IPVSService, error) {
	var out []resource.IPVSService
	err := t.query(cmdGetService, netlink.Dump, nothing, func() { out = out[:0] }, func(r *reader, body []byte) error {
		e, err := r.service(body)
		if s, ok := describeService(e); err == nil && ok {
			out = append(out, s)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list IPVS services: %w", err)
	}
	return out, nil
}

// service returns the service of that key, or the zero value.
func (t *table) service(key resource.ServiceKey) (resource.IPVSService, error) {
	var out resource.IPVSService
	question := func(b []byte) []byte { return appendService(b, kernelKey(key), false) }
	err := t.query(cmdGetService, 0, question, func() {}, func(r *reader, body []byte) error {
		e, err := r.service(body)
		out, _ = describeService(e)
		return err
	})
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return out, fmt.Errorf("look up IPVS service %s: %w", key, err)
	}
	return out, nil
}

// A found is a server with the connections that keep it busy.
type found struct {
	resource.IPVSServer
	connections int
}

// servers appends the servers of a service to out; none if the service is gone.
func (t *table) servers(s resource.IPVSService, out []found) ([]found, error) {
	key, n := kernelKey(s.ServiceKey), len(out)
	question := func(b []byte) []byte { return appendService(b, key, false) }
	err := t.query(cmdGetServer, netlink.Dump, question, func() { out = out[:n] }, func(r *reader, body []byte) error {
		e, err := r.server(body, key.Family)
		if err == nil {
			out = append(out, found{describeServer(s.ServiceKey, e), busy(s, e)})
		}
		return err
	})
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return out, fmt.Errorf("list the servers of %s: %w", s.ServiceKey, err)
	}
	return out, nil
}

// server returns the server of s's service and address, or the zero value.
func (t *table) server(s resource.IPVSServer) (resource.IPVSServer, error) {
	list, err := t.servers(resource.IPVSService{ServiceKey: s.Service}, nil)
	for _, have := range list {
		if have.Address == s.Address {
			return have.IPVSServer, nil
		}
	}
	return resource.IPVSServer{}, err
}
