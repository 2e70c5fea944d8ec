package spec

import "time"

// A Notify says who is told of what happens on a node. Exactly one of Exec, SMTP and Webhook is
// set.
type Notify struct {
	Origin Origin `json:"origin"`
	Name   string `json:"name"`
	// Events are the kinds that are told; never empty.
	Events []string `json:"events"`
	// On are the subjects, as block addresses, that are told of; empty means all.
	On      []string       `json:"on,omitempty"`
	Exec    *NotifyExec    `json:"exec,omitempty"`
	SMTP    *NotifySMTP    `json:"smtp,omitempty"`
	Webhook *NotifyWebhook `json:"webhook,omitempty"`
}

// Type is the block's first label.
func (n Notify) Type() string {
	switch {
	case n.Exec != nil:
		return "exec"
	case n.SMTP != nil:
		return "smtp"
	}
	return "webhook"
}

// A NotifyExec is a program that is run for each event, one after the other.
type NotifyExec struct {
	Command []string      `json:"command"`
	Timeout time.Duration `json:"timeout"`
	// Ensure runs it again until it succeeds for the state that holds by then.
	Ensure bool `json:"ensure,omitempty"`
}

// A NotifySMTP is a mail to each of the recipients.
type NotifySMTP struct {
	Server     string   `json:"server"` // HOST:PORT
	TLS        string   `json:"tls"`    // implicit, starttls or none
	Username   string   `json:"username,omitempty"`
	Password   string   `json:"password,omitempty"` // a secret's name
	From       string   `json:"from"`
	Recipients []string `json:"recipients"`
	PerMinute  int      `json:"per_minute"` // mails; what is more goes into the next one
}

// A NotifyWebhook is an HTTPS request for each event.
type NotifyWebhook struct {
	URL       string        `json:"url,omitempty"`
	URLSecret string        `json:"url_secret,omitempty"` // a secret's name, where the URL itself is one
	Secret    string        `json:"secret,omitempty"`     // a secret's name; signs the body
	Timeout   time.Duration `json:"timeout"`
}
