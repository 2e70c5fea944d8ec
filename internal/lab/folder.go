package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// root holds one folder per lab. /run is empty after a boot, as is a lab.
const root = "/run/hareconcile-lab"

// What is in a lab's folder.
const (
	repository  = "repo.git"
	socketName  = "lab.sock"
	recordName  = "process.json"
	logName     = "lab.log"
	signerKey   = "signer" // who signs; the file of that name with .pub is its public part
	signedMark  = "signed" // is there if pushes are to be signed
	guestFolder = "guest"  // the guest's memory, in the lab's own mount namespace
)

// EnvName names the variable that `lab run` gives its command: the lab that `lab exec` means.
const EnvName = "HARECONCILE_LAB"

// ErrDown says that there is no such lab.
var ErrDown = errors.New("the lab is not up")

// A record says which process is a lab.
type record struct {
	PID int `json:"pid"`
	// Start is the process's start time in ticks since the boot (proc_pid_stat(5)), which
	// together with the id names it for good.
	Start uint64 `json:"start"`
}

var unfit = regexp.MustCompile(`[^a-z0-9-]+`)

// NameOf returns the name of the lab that the folder dir of a cluster makes.
func NameOf(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return "", fmt.Errorf("find the cluster's folder: %w", err)
	}
	base := unfit.ReplaceAllString(strings.ToLower(filepath.Base(abs)), "-")
	return fmt.Sprintf("%.20s-%.3x", base, sha256.Sum256([]byte(abs))), nil
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_./,:@%+=-]+$`)

// Quote returns a word as a shell has to be given it, for commands that people are told.
func Quote(word string) string {
	if plain.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Names returns the labs that are up, and the others of which something is left.
func Names() (up, left []string) {
	entries, err := os.ReadDir(root) // sorted
	if err != nil {
		return nil, nil
	}
	for _, e := range entries {
		switch {
		case !e.IsDir():
		case alive(filepath.Join(root, e.Name())):
			up = append(up, e.Name())
		default:
			left = append(left, e.Name())
		}
	}
	return up, left
}

// Open returns a client of the lab of that name.
func Open(name string) (*Client, error) {
	if name == "" || unfit.MatchString(name) {
		return nil, fmt.Errorf("%q is not the name of a lab", name)
	}
	dir := filepath.Join(root, name)
	if !alive(dir) {
		return nil, fmt.Errorf("%w: %s", ErrDown, name)
	}
	return &Client{dir: dir}, nil
}

// Name returns the lab's name.
func (c *Client) Name() string { return filepath.Base(c.dir) }

// Repository returns the path of the repository that the lab's nodes pull.
func (c *Client) Repository() string { return filepath.Join(c.dir, repository) }

// Signer returns the path of an ssh key to sign commits with. Every lab has one.
func (c *Client) Signer() string { return filepath.Join(c.dir, signerKey) }

// Log returns the path of a service's output.
func (c *Client) Log(host, service string) string {
	return filepath.Join(c.dir, "log", host+"-"+service+".log")
}

// alive reports whether the process of the lab in dir runs.
func alive(dir string) bool {
	r, err := readRecord(dir)
	return err == nil && startOf(r.PID) == r.Start
}

func readRecord(dir string) (record, error) {
	var r record
	b, err := os.ReadFile(filepath.Join(dir, recordName))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("read the lab's record: %w", err)
	}
	if r.PID <= 1 || r.Start == 0 {
		return r, errors.New("the lab's record names no process")
	}
	return r, nil
}

// startOf returns a process's start time, and 0 if there is no such process or it has ended.
func startOf(pid int) uint64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The second field is the program's name in brackets and may hold anything.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 20 || f[0] == "Z" {
		return 0
	}
	n, err := strconv.ParseUint(f[19], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Down ends a lab and removes what it left, also where it ended by itself. It reports
// whether there was anything.
func Down(ctx context.Context, name string) (bool, error) {
	if name == "" || unfit.MatchString(name) {
		return false, fmt.Errorf("%q is not the name of a lab", name)
	}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	r, err := readRecord(dir)
	if err == nil && startOf(r.PID) == r.Start {
		if err := end(ctx, r); err != nil {
			return true, err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return true, fmt.Errorf("remove the lab's folder: %w", err)
	}
	_ = os.Remove(root) // fails while another lab is there
	return true, nil
}

// end kills the first process of a lab's PID namespace; the kernel ends all others, and
// with them the namespaces and links, before that process is gone.
func end(ctx context.Context, r record) error {
	if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end the lab's process %d: %w", r.PID, err)
	}
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for startOf(r.PID) == r.Start {
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("end the lab's process %d: %w", r.PID, ctx.Err())
		}
	}
	return nil
}
