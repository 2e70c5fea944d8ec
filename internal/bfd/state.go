// Package bfd is asynchronous BFD over a single hop (RFC 5880, RFC 5881) with no I/O in
// it: an event goes in with its time, the actions that it calls for come out.
package bfd

// A State is where a session is (RFC 5880, section 4.1). The numbers are the wire's.
type State uint8

// The states.
const (
	AdminDown State = iota
	Down
	Init
	Up
)

var states = [...]string{"ADMIN_DOWN", "DOWN", "INIT", "UP"}

// String returns the state in capitals.
func (s State) String() string {
	if int(s) < len(states) {
		return states[s]
	}
	return "UNKNOWN"
}

// A Diagnostic says why a session last changed its state (RFC 5880, section 4.1).
type Diagnostic uint8

// The diagnostics.
const (
	NoDiagnostic Diagnostic = iota
	DetectionTimeExpired
	EchoFailed
	NeighborSignaledDown
	ForwardingPlaneReset
	PathDown
	ConcatenatedPathDown
	AdministrativelyDown
	ReverseConcatenatedPathDown
)

var diagnostics = [...]string{
	NoDiagnostic:                "no diagnostic",
	DetectionTimeExpired:        "control detection time expired",
	EchoFailed:                  "echo function failed",
	NeighborSignaledDown:        "neighbor signaled session down",
	ForwardingPlaneReset:        "forwarding plane reset",
	PathDown:                    "path down",
	ConcatenatedPathDown:        "concatenated path down",
	AdministrativelyDown:        "administratively down",
	ReverseConcatenatedPathDown: "reverse concatenated path down",
}

// String returns the diagnostic in the RFC's words.
func (d Diagnostic) String() string {
	if int(d) < len(diagnostics) {
		return diagnostics[d]
	}
	return "unknown diagnostic"
}
