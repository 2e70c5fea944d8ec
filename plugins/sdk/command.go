package sdk

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/plugins/proto"
)

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
	asJSON := flags.Bool("json", false, "print the result of -check as JSON")
	debug := flags.Bool("debug", false, "serve without an agent, for a debugger, and print what plugin check -reattach needs")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	switch {
	case *describe:
		return printDescription(c, stdout, stderr)
	case *config != "":
		return checkOnce(c, *config, *timeout, *asJSON, stdout, stderr)
	case *debug:
		return serveDebug(c, stdout, stderr)
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
func checkOnce(c *Config, config string, timeout time.Duration, asJSON bool, stdout, stderr io.Writer) int {
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
	if err := printResult(stdout, r, asJSON); err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 2
	}
	switch r.Status {
	case Pass, Warn:
		return 0
	case Fail:
		return 1
	}
	return 2
}

// printResult prints the status and its reason, and what else the check has to say.
func printResult(w io.Writer, r Result, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(r)
	}
	_, err := io.WriteString(w, r.Text())
	return err
}

// Text is a result as -check and `hareconcile plugin check` print it: the status with its
// reason, and a line for whatever else there is.
func (r Result) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", r.Status, oneLine(r.Detail))
	if r.Code != "" {
		fmt.Fprintf(&b, "code: %s\n", oneLine(r.Code))
	}
	for _, p := range r.Parts {
		fmt.Fprintf(&b, "part %s: %s", oneLine(p.Name), p.Status)
		for _, s := range []string{p.Code, p.Detail} {
			if s != "" {
				b.WriteString(", " + oneLine(s))
			}
		}
		b.WriteByte('\n')
	}
	for _, name := range slices.Sorted(maps.Keys(r.Metrics)) {
		fmt.Fprintf(&b, "metric %s: %s\n", oneLine(name), strconv.FormatFloat(r.Metrics[name], 'g', -1, 64))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Facts)) {
		fmt.Fprintf(&b, "fact %s: %s\n", oneLine(name), oneLine(r.Facts[name]))
	}
	return b.String()
}
