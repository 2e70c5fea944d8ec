package ipvs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/mdlayher/netlink"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// syncs owns the synchronisation daemons that the ledger lists, together with a record of
// each.
type syncs struct {
	table  *table
	ledger *ledger.Ledger
	index  func(device string) int // 0 if there is none
}

// A record is what the kernel does not tell of a daemon: what was asked, since it fills in
// the rest, and the index of the interface, since the daemon's socket is bound to that and
// falls silent for good if the interface goes, also if another of the same name comes.
type record struct {
	Asked resource.IPVSSync `json:"asked"`
	Index int               `json:"index"`
}

var _ reconcile.Handler = (*syncs)(nil)

// NewSyncs returns the handler of the daemons that tell other directors of connections.
func NewSyncs(l *ledger.Ledger) reconcile.Handler { return newSyncs(dialKernel, l) }

func newSyncs(dial func() (socket, uint16, error), l *ledger.Ledger) *syncs {
	return &syncs{&table{dial: dial}, l, deviceIndex}
}

func deviceIndex(device string) int {
	i, err := net.InterfaceByName(device)
	if err != nil {
		return 0
	}
	return i.Index
}

// Kind implements reconcile.Handler.
func (h *syncs) Kind() resource.Kind { return resource.KindIPVSSync }

// Observe implements reconcile.Handler.
func (h *syncs) Observe(context.Context) (reconcile.Live, error) {
	live := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}}
	list, err := h.table.daemons()
	if errors.Is(err, ErrNoModule) && h.ledger.Count(h.Kind()) == 0 {
		return live, nil
	}
	if err != nil {
		return reconcile.Live{}, err
	}
	for _, d := range list {
		v := describeDaemon(d, resource.IPVSSync{})
		if h.ledger.Has(v.ID()) {
			live.Owned[v.ID()] = h.describe(d, v.ID())
		} else {
			live.Foreign[v.ID()] = v
		}
	}
	h.ledger.Retain(h.Kind(), func(name string) bool { return live.Owned[resource.ID{Kind: h.Kind(), Name: name}] != nil })
	return live, nil
}

// Apply implements reconcile.Handler.
func (h *syncs) Apply(_ context.Context, c reconcile.Change) error {
	v := c.After
	if c.Action == reconcile.Delete {
		v = c.Before
	}
	s, ok := v.(resource.IPVSSync)
	if !ok {
		return fmt.Errorf("%T is not an IPVS synchronisation daemon", v)
	}
	what := "start"
	var err error
	switch c.Action {
	case reconcile.Delete:
		what, err = "stop", h.delete(s)
	case reconcile.Adopt:
		what, err = "adopt", h.adopt(s)
	case reconcile.Update:
		what, err = "restart", h.takeOver(s)
	default:
		err = h.create(s)
	}
	if err != nil {
		return fmt.Errorf("%s the IPVS synchronisation daemon (%s): %w", what, s.Role, err)
	}
	return nil
}

func (h *syncs) create(s resource.IPVSSync) error {
	if err := h.table.available(); err != nil {
		return err
	}
	if h.ledger.Has(s.ID()) {
		return h.takeOver(s)
	}
	return h.begin(s)
}

// takeOver restarts a daemon that is not as s is: the kernel cannot change one.
func (h *syncs) takeOver(s resource.IPVSSync) error {
	if h.alive(s) && h.check(s) == nil {
		return h.remember(s)
	}
	if err := h.stop(s); err != nil {
		return err
	}
	return h.begin(s)
}

// begin starts a daemon where none of ours runs.
func (h *syncs) begin(s resource.IPVSSync) error {
	if err := h.remember(s); err != nil {
		return err
	}
	err := h.start(s)
	if exists(err) {
		err = h.check(s)
	}
	if err != nil {
		err = errors.Join(err, h.ledger.Forget(s.ID()))
	}
	return err
}

func (h *syncs) adopt(s resource.IPVSSync) error {
	if err := h.check(s); err != nil {
		return err
	}
	return h.remember(s)
}

func (h *syncs) delete(s resource.IPVSSync) error {
	if !h.ledger.Has(s.ID()) {
		return nil
	}
	if err := h.stop(s); err != nil {
		return err
	}
	return h.ledger.Forget(s.ID())
}

// describe is describeDaemon for what is ours.
func (h *syncs) describe(d daemonEntry, id resource.ID) resource.IPVSSync {
	r := h.record(id)
	s := describeDaemon(d, r.Asked)
	if r.Index != 0 && r.Index != h.index(d.device) {
		s.Interface = fmt.Sprintf("%s, which was interface %d", s.Interface, r.Index)
	}
	return s
}

// record returns what is known of a daemon; one that says nothing leaves all to the kernel.
func (h *syncs) record(id resource.ID) record {
	text, _ := h.ledger.Prior(id)
	var r record
	_ = json.Unmarshal([]byte(text), &r)
	return r
}

// remember makes s ours.
func (h *syncs) remember(s resource.IPVSSync) error {
	b, err := json.Marshal(record{s, h.index(s.Interface)})
	if err != nil {
		return err
	}
	return h.ledger.Amend(s.ID(), string(b))
}

// check returns nil if a daemon runs as s asks.
func (h *syncs) check(s resource.IPVSSync) error {
	list, err := h.table.daemons()
	if err != nil {
		return err
	}
	for _, d := range list {
		if describeDaemon(d, s) == s {
			return nil
		}
	}
	return errors.New("one that differs was started meanwhile")
}

// alive reports whether the daemon's interface is the one that it was started on, as far as
// is known.
func (h *syncs) alive(s resource.IPVSSync) bool {
	r := h.record(s.ID())
	return r.Index == 0 || r.Index == h.index(r.Asked.Interface)
}

func (h *syncs) start(s resource.IPVSSync) error {
	err := h.table.changeOne(func(b []byte) (uint8, []byte) { return cmdNewDaemon, appendDaemon(b, kernelDaemon(s)) })
	switch {
	case errors.Is(err, syscall.ENODEV):
		return fmt.Errorf("there is no interface %q: %w", s.Interface, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.ENETUNREACH):
		return fmt.Errorf("interface %q has no address to send from: %w", s.Interface, err)
	case errors.Is(err, syscall.EINVAL):
		return fmt.Errorf("the kernel does not take the group, or a server of another family than its service's is in the table: %w", err)
	}
	return err
}

func (h *syncs) stop(s resource.IPVSSync) error { return h.table.stopDaemon(kernelDaemon(s)) }

// stopDaemon stops a daemon, if one runs. It asks twice: a thread that has not run yet ends
// with EINTR (kthread_stop), and to that there is no answer (netlink_rcv_skb).
func (t *table) stopDaemon(d daemonEntry) error {
	refused, err := t.change(2, func(b []byte, _ int) (uint8, []byte) { return cmdDelDaemon, appendDaemon(b, d) })
	if err == nil && !errors.Is(refused[0], syscall.ESRCH) {
		err = refused[0]
	}
	return err
}

// daemons lists the daemons that run.
func (t *table) daemons() ([]daemonEntry, error) {
	var out []daemonEntry
	err := t.query(cmdGetDaemon, netlink.Dump, nothing, func() { out = out[:0] }, func(r *reader, body []byte) error {
		d, err := r.daemon(body)
		if err == nil {
			out = append(out, d)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the IPVS synchronisation daemons: %w", err)
	}
	return out, nil
}

// The states of daemons, and what the kernel fills in (ip_vs_sync.c, start_sync_thread).
const (
	stateMaster    = 1
	stateBackup    = 2
	defaultPort    = 8848 // IP_VS_SYNC_PORT
	defaultTTL     = 1
	defaultPacket  = 1500 // of an unknown device, and the least that a backup takes
	smallestPacket = 1024 // that a backup can be asked for
)

var defaultGroup = netip.AddrFrom4([4]byte{224, 0, 0, 81}) // IP_VS_SYNC_GROUP

func kernelDaemon(s resource.IPVSSync) daemonEntry {
	d := daemonEntry{
		state: stateMaster, device: s.Interface, syncID: uint32(s.SyncID),
		maxLen: s.MaxLen, group: s.Group, port: s.Port, ttl: s.TTL,
	}
	if s.Role == "backup" {
		d.state = stateBackup
	}
	return d
}

// describeDaemon returns what would have to be asked for to get d: what the kernel made of
// asked is asked's, and what is the kernel's own choice is left to it.
func describeDaemon(d daemonEntry, asked resource.IPVSSync) resource.IPVSSync {
	s := resource.IPVSSync{
		Role: "master", Interface: d.device, SyncID: uint8(d.syncID), MaxLen: d.maxLen,
		Group: said(d.group, asked.Group, defaultGroup),
		Port:  said(d.port, asked.Port, defaultPort),
		TTL:   said(d.ttl, asked.TTL, defaultTTL),
	}
	if d.syncID > 255 { // which no message can carry, and no file ask for
		s.Interface = fmt.Sprintf("%s with sync id %d", d.device, d.syncID)
	}
	headers, least := uint16(20+8), uint16(1) // IP and UDP
	if d.group.Is6() {
		headers = 40 + 8
	}
	choice := d.maxLen == defaultPacket-headers
	if d.state == stateBackup {
		s.Role, least = "backup", smallestPacket
		choice = d.maxLen >= defaultPacket-headers // the device's, as it was then
	}
	switch {
	case asked.MaxLen != 0 && d.maxLen == min(max(asked.MaxLen, least), 65535-headers):
		s.MaxLen = asked.MaxLen
	case choice:
		s.MaxLen = 0
	}
	return s
}

// said returns asked if the kernel made have of it, and nothing if have is the default.
func said[T comparable](have, asked, byDefault T) T {
	var nothing T
	switch {
	case have == asked, have == byDefault && asked == nothing:
		return asked
	case have == byDefault:
		return nothing
	}
	return have
}
