package spawn

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func program(t *testing.T, dir, name string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700)
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func folder(t *testing.T, dir, name string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	err := os.Mkdir(path, 0o700)
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProgram(t *testing.T) {
	dir := t.TempDir()
	link := func(name, target string) string {
		path := filepath.Join(dir, name)
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := program(t, dir, "good", 0o755)
	open := folder(t, dir, "open", 0o777)
	sticky := folder(t, dir, "sticky", 0o777|os.ModeSticky)
	inOpen := program(t, open, "program", 0o755)
	if err := os.Symlink(good, filepath.Join(open, "back")); err != nil {
		t.Fatal(err)
	}
	script := func(name, head string) string {
		path := program(t, dir, name, 0o755)
		if err := os.WriteFile(path, []byte(head), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	deep := good
	for _, name := range strings.Fields("one two three four five six") {
		deep = script(name, "#!"+deep+"\n")
	}
	for _, tt := range []struct{ name, path, resolved, err string }{
		{"with an interpreter that is a script", script("by-script", "#! "+good+" -x\n"), filepath.Join(dir, "by-script"), ""},
		{"of an interpreter in a folder of everybody", script("by-open", "#!"+inOpen+"\n"), "", "by-open: " + open + " can be written"},
		{"of an interpreter behind such a script", script("by-by-open", "#!"+dir+"/by-open\n"), "", "by-open: " + open + " can be written"},
		{"of one that is not there", script("by-none", "#!/none/sh\n"), "", "the interpreter of " + dir + "/by-none: lstat /none"},
		{"of one that depends on the folder", script("by-relative", "#!bin/sh\n"), "", "bin/sh is no absolute path"},
		{"of none", script("by-nothing", "#!\n/bin/sh"), "", "#! is no absolute path"},
		{"of more interpreters than the kernel takes", deep, "", "is the interpreter of too many scripts"},
		{"neither a script nor anything", script("empty", ""), filepath.Join(dir, "empty"), ""},
		{"a program of ours", good, good, ""},
		{"behind a link", link("link", "good"), good, ""},
		{"behind a folder that is a link", filepath.Join(link("here", dir), "good"), good, ""},
		{"by a way with dots", dir + "/./open/../good", "", "can be written by its group or by others"},
		{"by a way with dots that is ours", dir + "/.//good", good, ""},
		{"in a folder whose files are their owners'", program(t, sticky, "program", 0o755), filepath.Join(sticky, "program"), ""},
		{"in a folder of everybody", inOpen, "", "can be written by its group or by others"},
		{"behind a link there", link("far", "open/program"), "", "can be written by its group or by others"},
		{"by a link in a folder of everybody", filepath.Join(open, "back"), "", "can be written by its group or by others"},
		{"by a link to such a link", link("farther", "open/back"), "", "can be written by its group or by others"},
		{"of a group", program(t, dir, "group", 0o775), "", "can be written by its group or by others"},
		{"setuid", program(t, dir, "setuid", 0o755|os.ModeSetuid), "", "is setuid or setgid"},
		{"setgid", program(t, dir, "setgid", 0o755|os.ModeSetgid), "", "is setuid or setgid"},
		{"no program", program(t, dir, "data", 0o644), "", "is not executable"},
		{"a folder", sticky, "", "is no regular file"},
		{"not there", filepath.Join(dir, "none"), "", "no such file or directory"},
		{"a link to itself", link("loop", "loop"), "", "leads nowhere"},
		{"not absolute", "good", "", "is no absolute path"},
		{"nothing", "", "", "is no absolute path"},
	} {
		resolved, err := Program(tt.path)
		if resolved != tt.resolved || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: Program = %q, %v, want %q, %q", tt.name, resolved, err, tt.resolved, tt.err)
		}
	}
	if os.Getuid() != 0 {
		return
	}
	for _, path := range []string{sticky, filepath.Join(dir, "link")} {
		if err := os.Lchown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{filepath.Join(sticky, "program"), filepath.Join(dir, "link")} {
		if _, err := Program(path); err == nil || !strings.HasSuffix(err.Error(), "belongs to user 65534, want root") {
			t.Errorf("Program(%s) = %v, want a refusal: somebody else can lead it elsewhere", path, err)
		}
	}
}

// TestOpenProgram: what was judged is what runs, also when something else is at its path.
func TestOpenProgram(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "program")
	put := func(from string) {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(path+".new", b, 0o700)
		}
		if err == nil {
			err = os.Chmod(path+".new", 0o711) // others may run it and not read it
		}
		if err == nil {
			err = os.Rename(path+".new", path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("/bin/true")
	p, err := OpenProgram(path)
	if err != nil {
		t.Fatal(err)
	}
	defer p.File.Close()
	if p.Script || p.Path != path {
		t.Errorf("OpenProgram(%s) = %+v, want no script", path, p)
	}
	put("/bin/false")
	cmd := exec.Command("/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{p.File}
	if err := cmd.Run(); err != nil {
		t.Errorf("run what was judged: %v; the other program fails", err)
	}
	if _, err := p.File.Read(make([]byte, 1)); err == nil {
		t.Error("the program that runs can read the file that it was given")
	}
}

func FuzzParseInterpreter(f *testing.F) {
	for head, want := range map[string]string{
		"#!/bin/sh\n": "/bin/sh", "#! /bin/sh -e\n": "/bin/sh", "#!\t/usr/bin/env\tpython3": "/usr/bin/env",
		"#!/bin/sh\x00x": "/bin/sh", "#!\n/bin/sh": "#!", "#!": "#!", "": "", "#": "", " #!/bin/sh": "", "\x7fELF": "",
	} {
		if got := parseInterpreter([]byte(head)); got != want {
			f.Errorf("parseInterpreter(%q) = %q, want %q", head, got, want)
		}
		f.Add([]byte(head))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		got := parseInterpreter(head)
		if (got != "") != strings.HasPrefix(string(head), "#!") || strings.ContainsAny(got, " \t\n\x00") || !strings.Contains(string(head), got) {
			t.Errorf("parseInterpreter(%q) = %q", head, got)
		}
	})
}

func TestOnOwnThread(t *testing.T) {
	OnOwnThread(func() {
		if unix.Gettid() == unix.Getpid() {
			t.Error("OnOwnThread used the main thread")
		}
		if err := Humble(); err != nil {
			t.Error(err)
		}
		out, err := exec.Command("/bin/grep", "NoNewPrivs", "/proc/self/status").Output()
		if err != nil || string(out) != "NoNewPrivs:\t1\n" {
			t.Errorf("a child of a humble thread has %q, %v", out, err)
		}
	})
	if n, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || n != 0 {
		t.Errorf("no_new_privs of another thread = %d, %v, want 0", n, err)
	}
}

// TestAwaitExit: the child is a zombie until it is waited for, so its id is its own.
func TestAwaitExit(t *testing.T) {
	cmd := exec.Command("/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	AwaitExit(cmd.Process.Pid)
	if err := syscall.Kill(cmd.Process.Pid, 0); err != nil {
		t.Errorf("the id of a child that has ended is gone: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestAccountFor(t *testing.T) {
	a, err := AccountFor("no-such-user-here")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 {
		if a.UID != os.Getuid() || a.Credential() != nil {
			t.Errorf("AccountFor = %+v, want our own", a)
		}
		return
	}
	if c := a.Credential(); a.UID != 65534 || c == nil || c.Uid != 65534 {
		t.Errorf("AccountFor a user that is not there = %+v, want nobody", a)
	}
}
