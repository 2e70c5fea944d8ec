package reconcile

// A Finding is what one policy says of one object or of a whole plan.
type Finding struct {
	Set     string `json:"set"` // "shipped", "host" or "repository"
	Policy  string `json:"policy"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Level   string `json:"enforcement_level"` // "mandatory" or "advisory"
	Result  string `json:"result"`            // "pass", "deny" or "error"
	Subject string `json:"subject,omitempty"` // address of the object; empty for a plan_policy
	Message string `json:"message,omitempty"`
}

// Denies reports whether the finding stands in the way: a mandatory policy that denied,
// or that could not be evaluated.
func (f Finding) Denies() bool { return f.Level == "mandatory" && f.Result != "pass" }
