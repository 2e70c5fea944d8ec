package reconcile

// A Verdict is what checks say of one server of a pool.
type Verdict string

// The verdicts. Without checks a server is Up; before the first result it is Unknown.
const (
	Unknown Verdict = ""
	Up      Verdict = "up"
	Down    Verdict = "down"
)

// A ServerRef names a server of a pool: "pool/server".
type ServerRef string

// NewServerRef returns the reference to a pool's server.
func NewServerRef(pool, server string) ServerRef { return ServerRef(pool + "/" + server) }

// Facts are what only this node knows now. They change without a push and never make a
// plan by themselves: the plan that follows a change of Facts is applied at once.
type Facts struct {
	// Servers holds the verdicts of checks; a server that is missing is Unknown.
	Servers map[ServerRef]Verdict `json:"servers"`
	// Roles holds the VRRP state (MASTER, BACKUP, FAULT, INIT) by vrrp_instance ID name, for display.
	Roles map[string]string `json:"roles"`
	// Trackers holds the states of plugin trackers by name, for display.
	Trackers map[string]Verdict `json:"trackers"`
}
