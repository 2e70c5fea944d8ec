package compile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/jail"
)

// probeName asks a stage, as branch, path or file, what it can do instead of doing its work.
const (
	probeName = "probe"
	probeFile = "probe.hcl"
	dieFile   = "die.hcl" // in the tree: overflow the stack
	growFile  = "grow.hcl"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "internal" {
		stages := Stages()
		for name, s := range stages {
			stages[name] = probed(s)
		}
		os.Exit(jail.Main(os.Args[2], stages))
	}
	os.Exit(m.Run())
}

// probed wraps a stage so that certain inputs show its rights or make it die.
func probed(s jail.Stage) jail.Stage {
	return func(ctx context.Context, in io.Reader, progress func(string)) (any, error) {
		b, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		var q struct {
			Branch, Path string
			Tree         map[string][]byte
		}
		if err := json.Unmarshal(b, &q); err != nil {
			return nil, err
		}
		if q.Branch == probeName || q.Path == probeName || q.Tree[probeFile] != nil {
			return nil, errors.New(rights())
		}
		if q.Tree[dieFile] != nil {
			progress(dieFile)
			return dive(0), nil
		}
		if q.Tree[growFile] != nil {
			progress(growFile)
			var keep [][]byte
			for {
				keep = append(keep, bytes.Repeat([]byte{1}, 1<<20))
				runtime.KeepAlive(keep)
			}
		}
		return s(ctx, bytes.NewReader(b), progress)
	}
}

func dive(n int) int {
	if n < 0 {
		return 0
	}
	return dive(n+1) + 1
}

// rights lists this process's ids, capabilities and interfaces, a line each.
func rights() string {
	var out strings.Builder
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		for _, key := range []string{"Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:"} {
			if strings.HasPrefix(line, key) {
				out.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
			}
		}
	}
	ifs, _ := net.Interfaces()
	for _, i := range ifs {
		out.WriteString("if " + i.Name + " " + i.Flags.String() + "\n")
	}
	return out.String()
}
