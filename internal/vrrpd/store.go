package vrrpd

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/bfdd"
	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
)

const (
	stateVersion = 1
	maxState     = 16 << 20
	// slots is how many routers can note their last advert.
	slots    = 4096
	slotSize = 8
)

// A saved is the state file: what a successor of this process has to know.
type saved struct {
	Version   int             `json:"version"`
	BootID    string          `json:"boot_id"`
	Netns     uint64          `json:"netns"`
	Config    channel.Config  `json:"config"`
	Instances []savedInstance `json:"instances"`
	Trackers  []savedTracker  `json:"trackers"`
	Sessions  []bfdd.Saved    `json:"sessions,omitempty"`
	Repairs   uint64          `json:"repairs"`
	Pauses    uint64          `json:"pauses"`
	Overruns  uint64          `json:"overruns,omitempty"`
	Upgrades  uint64          `json:"upgrades,omitempty"`
}

type savedInstance struct {
	Name        string    `json:"name"`
	State       string    `json:"state"`
	Reason      string    `json:"reason"`
	Since       time.Time `json:"since"`
	Transitions uint64    `json:"transitions"`
	Slot        int       `json:"slot"`
	Held        []string  `json:"held,omitempty"`
	// StartAt, PreemptAt and HoldAt are since boot, and 0 if start_delay, preempt_delay or a
	// hold does not run.
	StartAt   time.Duration `json:"start_at,omitempty"`
	PreemptAt time.Duration `json:"preempt_at,omitempty"`
	HoldAt    time.Duration `json:"hold_at,omitempty"`
	// Auth is what must not be replayed.
	Auth *vrrp.AuthState `json:"auth,omitempty"`
}

type savedTracker struct {
	Key    string        `json:"key"`
	Word   string        `json:"word"`
	Value  int           `json:"value,omitempty"`
	Silent time.Duration `json:"silent"` // since boot; -1 while somebody confirms it
}

// A store keeps the state file, and beside it a page in which every router notes when it
// last sent an advert: a store into mapped memory, which outlives a kill -9 and never
// waits. A claim to be MASTER holds only if both say so.
type store struct {
	path   string
	bootID string
	netns  uint64
	page   []byte
	used   [slots]bool
	docs   chan saved // newest wins; closed by nobody
}

// errOther is the state of another boot, another network namespace or another version.
var errOther = errors.New("state is not from this boot, namespace and version")

// openStore maps the page and reads what a predecessor left. The error says why there is
// no usable state; the store works regardless.
func openStore(path string) (*store, saved, error) {
	s := newStore(path)
	mapErr := s.mapPage(path + ".sent")
	prev, err := s.load()
	return s, prev, errors.Join(mapErr, err)
}

func newStore(path string) *store {
	s := &store{path: path, docs: make(chan saved, 1)}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err == nil && len(boot) >= 36 {
		s.bootID = string(boot[:36])
	}
	var st unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/net", &st) == nil {
		s.netns = st.Ino
	}
	return s
}

func (s *store) mapPage(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		defer f.Close()
		// With its room taken: a store into a page that a full disk cannot give is a SIGBUS.
		if err = unix.Fallocate(int(f.Fd()), 0, 0, slots*slotSize); err == nil {
			s.page, err = unix.Mmap(int(f.Fd()), 0, slots*slotSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		}
	}
	if err != nil {
		s.page = make([]byte, slots*slotSize) // works, and forgets
		return fmt.Errorf("map %s: %w", path, err)
	}
	return nil
}

// close lets go of the page, which nobody may touch any more.
func (s *store) close() { _ = unix.Munmap(s.page) }

func (s *store) load() (saved, error) {
	var doc saved
	f, err := os.Open(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return doc, nil
	}
	if err != nil {
		return doc, fmt.Errorf("open state: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxState))
	if err != nil {
		return doc, fmt.Errorf("read state: %w", err)
	}
	return s.decode(b)
}

// decode reads a document of this boot, network namespace and version.
func (s *store) decode(b []byte) (saved, error) {
	var doc saved
	if err := json.Unmarshal(b, &doc); err != nil {
		return saved{}, fmt.Errorf("read state: %w", err)
	}
	if doc.Version != stateVersion || doc.BootID != s.bootID || doc.Netns != s.netns {
		return saved{}, errOther
	}
	if err := checkConfig(doc.Config); err != nil {
		return saved{}, fmt.Errorf("read state: %w", err)
	}
	return doc, nil
}

// save hands a document to the writer; one that was not written yet is replaced.
func (s *store) save(doc saved) {
	select {
	case <-s.docs:
	default:
	}
	s.docs <- s.stamp(doc) // the loop alone sends, so there is room
}

// stamp says for whom a document is.
func (s *store) stamp(doc saved) saved {
	doc.Version, doc.BootID, doc.Netns = stateVersion, s.bootID, s.netns
	return doc
}

// run writes documents until stop is closed, and then the last one.
func (s *store) run(stop <-chan struct{}, log *slog.Logger) {
	quiet := time.NewTimer(tidyAfter)
	defer quiet.Stop()
	for {
		select {
		case doc := <-s.docs:
			if err := s.write(doc); err != nil {
				log.Error("cannot write state", "err", err)
			}
			quiet.Reset(tidyAfter)
		case <-quiet.C:
			tidy()
		case <-stop:
			select {
			case doc := <-s.docs:
				if err := s.write(doc); err != nil {
					log.Error("cannot write state", "err", err)
				}
			default:
			}
			return
		}
	}
}

// write replaces the file as one. It is for one boot only, so nothing is synced.
func (s *store) write(doc saved) error {
	b, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	tmp, err := os.OpenFile(s.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), s.path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// claim returns a free slot, or -1 if all are taken.
func (s *store) claim() int {
	for i := range s.used {
		if !s.used[i] {
			s.used[i] = true
			s.clear(i)
			return i
		}
	}
	return -1
}

// reclaim takes the slot that a predecessor used; false if that is not possible.
func (s *store) reclaim(slot int) bool {
	if slot < 0 || slot >= slots || s.used[slot] {
		return false
	}
	s.used[slot] = true
	return true
}

func (s *store) giveBack(slot int) {
	if slot >= 0 {
		s.clear(slot)
		s.used[slot] = false
	}
}

// touch notes when a router last sent an advert. It is one store of eight bytes. Where
// somebody truncated the file it faults; from then on the page works, and forgets.
func (s *store) touch(slot int, at time.Duration) {
	if slot >= 0 {
		defer func(before bool) {
			debug.SetPanicOnFault(before)
			if recover() != nil {
				s.page = make([]byte, slots*slotSize)
				s.touch(slot, at)
			}
		}(debug.SetPanicOnFault(true))
		binary.NativeEndian.PutUint64(s.page[slot*slotSize:], uint64(at))
	}
}

// clear withdraws a router's claim to be MASTER.
func (s *store) clear(slot int) { s.touch(slot, 0) }

// sent is when the router last sent an advert, 0 if it makes no claim.
func (s *store) sent(slot int) time.Duration {
	return time.Duration(binary.NativeEndian.Uint64(s.page[slot*slotSize:]))
}
