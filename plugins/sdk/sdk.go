// Package sdk makes a program a hareconcile plugin.
//
// A plugin is a binary called hareconcile-plugin-NAME whose main calls Serve:
//
//	func main() {
//		sdk.Serve(&sdk.Config{Name: "pgprimary", Version: "1.0.0", Track: tracker{}})
//	}
//
// The agent starts it, gives it the configuration of every tracker block that names it,
// and asks each instance from time to time whether the thing it watches is up. From a
// shell, `hareconcile-plugin-NAME -check '{"dsn":"..."}'` makes one check and
// `-describe` prints the schema.
//
// Log with package slog: Serve sends the default logger's lines to the agent's log.
package sdk

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/plugins/proto"
)

// A Config says what a plugin is.
type Config struct {
	// Name is the NAME in hareconcile-plugin-NAME: lower case letters, digits and dashes.
	Name    string
	Version string
	Track   Tracker
}

// A Tracker makes instances: one for every tracker block that names the plugin.
type Tracker interface {
	Schema() Schema
	// New makes an instance of a configuration that the Schema accepts. It looks at nothing
	// yet: what it watches may be down for now. To blame one attribute, return an AttributeError.
	New(ctx context.Context, v Value) (Instance, error)
}

// An Instance watches one thing. If it is an io.Closer it is closed when it is not needed
// any more; a last check may still be under way then.
type Instance interface {
	// Check looks once, changes nothing, and returns before ctx ends. It returns Fail only if
	// it saw that the thing is down; whatever kept it from looking is an error, and the agent
	// then holds the last verdict for as long as the tracker block says.
	Check(ctx context.Context) (Result, error)
}

// A Watcher is an Instance that knows of changes before it is asked.
type Watcher interface {
	Instance
	// Watch calls changed with what Check would return, whenever that is something else, until
	// ctx ends or it cannot watch any more. The agent goes on calling Check meanwhile, and
	// calls Watch again a while after it returned.
	Watch(ctx context.Context, changed func(Result)) error
}

// A Status is what one check saw.
type Status string

// The statuses. Pass and Warn count as up, Fail as down.
const (
	Unknown Status = "unknown" // could not look
	Pass    Status = "pass"
	Warn    Status = "warn" // it works, and somebody should look at it
	Fail    Status = "fail"
)

// A Result is what one check saw and why it thinks so. What is too long is cut.
type Result struct {
	Status Status
	// Detail is one short line for people.
	Detail string
	// Code says what was seen, for programs: upper case letters, digits and underscores, such
	// as EMPTY_REPLY. It may be empty.
	Code string
	// Parts are the things that the check looked at, if there are several.
	Parts []Part
	// Metrics are figures by name: lower case letters, digits, underscores, and a label in
	// braces, such as backend_up{be_app}.
	Metrics map[string]float64
	// Facts are what is known of the thing that is watched, such as its pid and version.
	Facts map[string]string
}

// A Part is one of several things that a check looked at.
type Part struct {
	Name   string
	Status Status
	Detail string
	Code   string
}

// Serve serves the plugin to the agent that started it, or does what the command line asks
// for, and ends the process. Print nothing to standard output before it.
func Serve(c *Config) {
	os.Exit(run(c, os.Args[1:], os.Getenv(proto.CookieKey), os.Stdout, os.Stderr))
}

// validName is what a plugin may be called.
var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)

// run is Serve without the process.
func run(c *Config, args []string, cookie string, stdout, stderr io.Writer) int {
	if !validName.MatchString(c.Name) || c.Track == nil {
		_, _ = fmt.Fprintf(stderr, "This plugin is built wrongly: its sdk.Config needs a lower case Name (%q) and a Tracker.\n", c.Name)
		return 1
	}
	if err := c.Track.Schema().valid(); err != nil {
		_, _ = fmt.Fprintf(stderr, "This plugin is built wrongly: %v.\n", err)
		return 1
	}
	binary := proto.BinaryPrefix + c.Name
	flags := flag.NewFlagSet(binary, flag.ContinueOnError)
	flags.SetOutput(stderr)
	describe := flags.Bool("describe", false, "print the schema as JSON (what "+c.Name+".schema.json holds)")
	config := flags.String("check", "", "make one check with this JSON `config`; exit 0 pass or warn, 1 fail, 2 unknown")
	timeout := flags.Duration("timeout", 5*time.Second, "how long the check may take")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	switch {
	case *describe:
		return printDescription(c, stdout, stderr)
	case *config != "":
		return checkOnce(c, *config, *timeout, stdout, stderr)
	case cookie != proto.CookieValue:
		_, _ = fmt.Fprintf(stderr, "%s is a plugin of hareconcile: the agent starts it. By hand, try -describe or -check JSON.\n", binary)
		return 1
	}
	slog.SetDefault(slog.New(newLogHandler(stderr)))
	serve(c)
	return 0
}

// A Description is what -describe prints and NAME.schema.json holds.
type Description struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	Attributes Schema `json:"attributes"`
}

func printDescription(c *Config, stdout, stderr io.Writer) int {
	enc := json.NewEncoder(stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(Description{c.Name, c.Version, c.Track.Schema()}); err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// checkOnce makes one check as the agent would and returns the exit code for it.
func checkOnce(c *Config, config string, timeout time.Duration, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	i, diags := configure(ctx, c.Track, []byte(config))
	if len(diags) > 0 {
		for _, d := range diags {
			_, _ = fmt.Fprintln(stderr, strings.TrimPrefix(d.Attribute+": "+d.Message, ": "))
		}
		return 2
	}
	defer i.close()
	r := i.check(ctx)
	_, _ = fmt.Fprintf(stdout, "%s: %s\n", r.Status, r.Detail)
	switch r.Status {
	case Pass, Warn:
		return 0
	case Fail:
		return 1
	}
	return 2
}
