package hcl

import "time"

// watched are the attributes of which a tracker has exactly one: what it watches.
var watched = []string{"interface", "plugin", "process", "file", "route", "address", "ping", "node", "bfd"}

// fitting has the other attributes that mean something to each.
var fitting = map[string][]string{
	"interface": {"delay"},
	"plugin":    {"delay", "config", "interval", "timeout", "rise", "fall", "hold", "on_unknown"},
	"process":   {"delay", "min", "max", "interval", "hold", "on_unknown"},
	"file":      {"delay", "interval", "hold", "on_unknown"},
	"route":     {"delay", "dev"},
	"address":   {"delay", "dev"},
	"ping":      {"delay", "dev", "source", "interval", "timeout", "rise", "fall", "hold", "on_unknown"},
	"node":      {"delay", "dev", "source", "interval", "timeout", "rise", "fall", "hold", "on_unknown"},
	"bfd":       {"delay", "dev", "source", "interval", "multiplier"},
}

// The interval and multiplier of BFD where none is written.
const (
	bfdInterval   = 100 * time.Millisecond
	bfdMultiplier = 3
)

var trackerBlock = &block{
	name: "tracker", labels: []string{"name"}, each: true,
	doc: "Something that is up or down: used as a gate or for points. Exactly one of `interface` to `bfd` is written. All but plugins are watched by vrrpd itself.",
	attrs: []attribute{
		{name: "interface", kind: stringKind, doc: "The device whose link is watched: up while it is up and has a carrier."},
		{name: "plugin", kind: stringKind, doc: "The plugin that is asked, by the agent."},
		{name: "process", kind: stringKind, doc: "The program of which processes have to run: the name in /proc/PID/comm, or the base name of the first argument."},
		{name: "file", kind: stringKind, doc: "The file that holds a number: up while that is 0. Unknown while there is no such file, or no number in it: with `on_unknown = \"up\"` it is a switch for maintenance, `echo 1 > FILE`."},
		{name: "route", kind: networkKind, doc: "The destination to exactly which there has to be a route, such as `0.0.0.0/0`."},
		{name: "address", kind: hostKind, doc: "The address that the host has to have."},
		{name: "ping", kind: hostKind, doc: "The address that has to answer echo requests."},
		{name: "node", kind: stringKind, doc: "The node that has to answer echo requests at its address. On that node itself the tracker is up."},
		{name: "bfd", kind: stringKind, doc: "The address, or the node, with which a BFD session (RFC 5880, 5881) has to be up. On that node itself the tracker is up."},
		{name: "config", kind: named("object"), secret: true, doc: "plugin: what it wants to know: an object, checked against NAME.schema.json beside cluster.hcl. May hold `secret(\"name\")`."},
		{name: "min", kind: intKind(1, 100_000), def: "1", doc: "process: how many have to run."},
		{name: "max", kind: intKind(1, 100_000), doc: "process: how many may run."},
		{name: "dev", kind: stringKind, doc: "route, address, ping, node, bfd: the device that it has to be on; any if absent."},
		{name: "source", kind: hostKind, doc: "ping, node, bfd: the local address; the kernel's choice if absent."},
		{name: "interval", kind: durationKind(10*time.Millisecond, 24*time.Hour), def: `"1s"`, doc: "plugin, ping, node: the time between two questions. process, file: between two looks. bfd: between packets in both directions, 100ms if absent and 1m at most."},
		{name: "timeout", kind: durationKind(time.Millisecond, time.Hour), def: `"500ms"`, doc: "plugin, ping, node: how long an answer may take; no longer than the interval."},
		{name: "rise", kind: intKind(1, 100), def: "2", doc: "plugin, ping, node: how many good answers in a row make it up."},
		{name: "fall", kind: intKind(1, 100), def: "2", doc: "plugin, ping, node: how many bad answers in a row make it down."},
		{name: "multiplier", kind: intKind(1, 255), def: "3", doc: "bfd: how many intervals of silence make it down."},
		{name: "hold", kind: durationKind(0, 24*time.Hour), def: `"5m"`, doc: "plugin, process, file, ping, node: how long the last known state counts when it cannot be measured."},
		{name: "on_unknown", kind: choice("down", "up"), def: `"down"`, doc: "plugin, process, file, ping, node: what counts after `hold`, and before the first answer."},
		{name: "delay", kind: named("object"), def: "{}", doc: "How long a change has to last before it counts: `{ up = \"10s\", down = \"500ms\" }`; each is 0s if absent."},
	},
}
