package main

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// What a command may be. The kernel takes 128 KiB a word (execve(2), MAX_ARG_STRLEN).
const (
	maxWords = 64
	maxWord  = 4096 // bytes
)

// maxRunning bounds the programs of all trackers that run at once.
const maxRunning = 32

// A tracker makes scripts.
type tracker struct {
	slots chan struct{} // holds one for each program that runs
}

func newTracker() tracker { return tracker{make(chan struct{}, maxRunning)} }

func (tracker) Schema() sdk.Schema {
	return sdk.Schema{
		"command":    {Type: sdk.ListString, Required: true, Description: "absolute path of the program, and its arguments; no shell reads them"},
		"timeout":    {Type: sdk.String, Description: "how long the program may run, such as 300ms (default: 4/5 of the tracker's timeout, which is the most)"},
		"on_timeout": {Type: sdk.String, Description: "what it means if the program takes longer: fail (default, as keepalived has it) or unknown"},
	}
}

func (t tracker) New(_ context.Context, v sdk.Value) (sdk.Instance, error) {
	s := &script{command: v.Strings("command"), onTimeout: sdk.Fail, slots: t.slots, turn: make(chan struct{}, 1)}
	if err := checkCommand(s.command); err != nil {
		return nil, err
	}
	if v.Has("timeout") {
		d, err := time.ParseDuration(v.String("timeout"))
		if err != nil || d <= 0 {
			return nil, sdk.AttributeErrorf("timeout", "%q is no duration, such as 300ms", v.String("timeout"))
		}
		s.timeout = d
	}
	switch word := v.String("on_timeout"); {
	case word == string(sdk.Fail), !v.Has("on_timeout"):
	case word == string(sdk.Unknown):
		s.onTimeout = sdk.Unknown
	default:
		return nil, sdk.AttributeErrorf("on_timeout", "%q is neither fail nor unknown", word)
	}
	s.life, s.end = context.WithCancel(context.Background())
	return s, nil
}

// shellLine is a path with options or a shell's signs behind a blank, unlike one of a file whose
// name has blanks.
var shellLine = regexp.MustCompile(`\s[-|&;<>]`)

// checkCommand says what is wrong with a command. Whether there is such a program, and
// whether it may be run, is asked each time that it is.
func checkCommand(command []string) error {
	if len(command) == 0 {
		return sdk.AttributeErrorf("command", "names no program")
	}
	if len(command) > maxWords {
		return sdk.AttributeErrorf("command", "has %d words, at most %d are allowed", len(command), maxWords)
	}
	for _, w := range command {
		if len(w) > maxWord || strings.ContainsRune(w, 0) {
			return sdk.AttributeErrorf("command", "%.80q is longer than %d bytes or has a NUL in it", w, maxWord)
		}
	}
	switch path := command[0]; {
	case filepath.IsAbs(path) && !(len(command) == 1 && shellLine.MatchString(path)):
	case strings.ContainsAny(path, " \t"):
		return sdk.AttributeErrorf("command", "%.80q is a line for a shell, and there is none; write a list: [\"/usr/bin/curl\", \"-fsS\", \"http://127.0.0.1/\"]", path)
	default:
		return sdk.AttributeErrorf("command", "%.80q is no absolute path", path)
	}
	return nil
}
