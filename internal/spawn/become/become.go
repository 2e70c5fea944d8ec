// Package become turns a process that was started for it into another program, within limits,
// before the rest of the process begins. Whatever program links this package can be started so.
package become

import (
	"os"
	"strconv"
	"syscall"
)

// Stage is what follows `internal` in the arguments of a process that is to be another one.
const Stage = "exec"

// Descriptors of such a process: the file to run, and the pipe for what went wrong.
const (
	programFD = 3
	troubleFD = 4
)

// A Limit is the most that a program may have of a resource (getrlimit(2)).
type Limit struct {
	Resource int
	Most     uint64
}

// Args returns the arguments of a process of this program that becomes the one in its
// descriptor 3, with only a name as argument, after it has lowered its limits in their order.
// What goes wrong comes from its descriptor 4, and is all that does.
func Args(name string, limits []Limit) []string {
	args := []string{name, "internal", Stage}
	for _, l := range limits {
		args = append(args, strconv.Itoa(l.Resource), strconv.FormatUint(l.Most, 10))
	}
	return args
}

// The agent has hundreds of packages to initialise, which takes ten times as long as what is
// done here. Of those that are ready the one whose path comes first is next (Go specification,
// "Program initialization"): this package imports little (not even
// strings, with the tables of unicode), and so it comes before them.
//
// It also has to be in an init function, which runs on the main thread: the death signal that
// the parent has asked for belongs to a thread, and a program that another one becomes has none
// (prctl(2), PR_SET_PDEATHSIG). main may run on any.
func init() {
	if len(os.Args) < 3 || os.Args[1] != "internal" || os.Args[2] != Stage {
		return
	}
	syscall.CloseOnExec(troubleFD)
	err := become(os.Args[0], os.Args[3:])
	if _, werr := syscall.Write(troubleFD, []byte(err.Error())); werr != nil { // by hand there is no pipe
		_, _ = os.Stderr.WriteString("internal " + Stage + " is for hareconcile's own use: " + err.Error() + "\n")
	}
	os.Exit(1)
}

// become returns only what went wrong.
func become(name string, limits []string) error {
	// The kernel tells an interpreter to read the script by this path, so it has to stay open
	// for one (execve(2), fexecve(3)).
	var head [2]byte
	if _, err := syscall.Pread(programFD, head[:], 0); err != nil {
		return &trouble{"read the program", err}
	}
	if string(head[:]) != "#!" {
		syscall.CloseOnExec(programFD)
	}
	env := os.Environ() // before memory is short
	path := "/proc/self/fd/" + strconv.Itoa(programFD)
	for ; len(limits) > 1; limits = limits[2:] {
		if err := lower(limits[0], limits[1]); err != nil {
			return &trouble{"limit " + limits[0] + " to " + limits[1], err}
		}
	}
	return &trouble{"exec", syscall.Exec(path, []string{name}, env)}
}

// lower sets a limit, but never above what is already in force.
func lower(resource, most string) error {
	n, err := strconv.Atoi(resource)
	if err != nil {
		return err
	}
	limit, err := strconv.ParseUint(most, 10, 64)
	if err != nil {
		return err
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(n, &old); err != nil {
		return err
	}
	limit = min(limit, old.Max)
	return syscall.Setrlimit(n, &syscall.Rlimit{Cur: limit, Max: limit})
}

// A trouble is an error with what was being done. Package fmt is not there yet.
type trouble struct {
	doing string
	err   error
}

// Error implements error.
func (t *trouble) Error() string { return t.doing + ": " + t.err.Error() }
