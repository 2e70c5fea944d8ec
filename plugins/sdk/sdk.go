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

import "context"

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
	Status Status `json:"status"`
	// Detail is one short line for people.
	Detail string `json:"detail"`
	// Code says what was seen, for programs: upper case letters, digits and underscores, such
	// as EMPTY_REPLY. It may be empty.
	Code string `json:"code,omitempty"`
	// Parts are the things that the check looked at, if there are several.
	Parts []Part `json:"parts,omitempty"`
	// Metrics are figures by name: lower case letters, digits, underscores, and a label in
	// braces, such as backend_up{be_app}.
	Metrics map[string]float64 `json:"metrics,omitempty"`
	// Facts are what is known of the thing that is watched, such as its pid and version.
	Facts map[string]string `json:"facts,omitempty"`
}

// A Part is one of several things that a check looked at.
type Part struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code,omitempty"`
}
