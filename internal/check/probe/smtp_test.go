package probe

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// mail greets and answers verbs by replies, "" of which is the greeting. STARTTLS shakes
// hands if there is a config.
func mail(replies map[string]string, config *tls.Config) func(net.Conn) {
	return func(c net.Conn) {
		fmt.Fprint(c, replies[""])
		in := bufio.NewReader(c)
		for {
			text, err := in.ReadString('\n')
			if err != nil {
				return
			}
			verb, _, _ := strings.Cut(strings.TrimSpace(text), " ")
			reply, known := replies[verb]
			if !known {
				reply = "500 what?\r\n"
			}
			fmt.Fprint(c, reply)
			if verb == "STARTTLS" && config != nil {
				c = tls.Server(c, config)
				in = bufio.NewReader(c)
			}
		}
	}
}

func TestSMTP(t *testing.T) {
	a := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{a.server("good", expires)}}
	const cert = ", certificate until 2099-01-02"
	plain := map[string]string{"": "220 mx.example.com ESMTP\r\n", "EHLO": "250-mx\r\n250 PIPELINING\r\n", "QUIT": "221 bye\r\n"}
	with := func(pairs ...string) map[string]string {
		out := map[string]string{}
		for k, v := range plain {
			out[k] = v
		}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return out
	}
	starttls := &spec.SMTPCheck{Helo: "us", STARTTLS: true}
	trust := &spec.TLS{CA: a.file}
	for _, tt := range []struct {
		name    string
		smtp    *spec.SMTPCheck
		tls     *spec.TLS
		handle  func(net.Conn)
		message string
		err     string
	}{
		{"a greeting passes", nil, nil, mail(plain, nil), `greeted "mx.example.com ESMTP"`, ""},
		{"one of many lines too", nil, nil, mail(with("", "220-mx\r\n220-says\r\n220 hello\r\n"), nil), `greeted "mx..."`, ""},
		{"who knows no EHLO is asked again", nil, nil, mail(with("EHLO", "500 what?\r\n", "HELO", "250 mx\r\n"), nil), `greeted "mx.example.com ESMTP"`, ""},
		{"who wants no goodbye passes", nil, nil, mail(with("QUIT", "421 whatever\r\n"), nil), `greeted "mx.example.com ESMTP"`, ""},
		{"who takes no mail fails", nil, nil, mail(with("", "554 no mail here\r\n"), nil), "", `greeted: answered "554 no mail here"`},
		{"who is busy fails", nil, nil, mail(with("EHLO", "421 too busy\r\n"), nil), "", `EHLO: answered "421 too busy"`},
		{"who knows neither greeting fails", nil, nil, mail(with("EHLO", "500 what?\r\n"), nil), "", `HELO: answered "500 what?"`},
		{"another protocol fails", nil, nil, says("HTTP/1.1 400 Bad Request\r\n\r\n"), "", "timed out"}, // it waits for us, too
		{"a greeting of garbage fails", nil, nil, mail(map[string]string{"": "hello\r\n"}, nil), "", `greeted: short response: "hello"`},
		{"STARTTLS", starttls, trust, mail(with("STARTTLS", "220 go\r\n"), config), `greeted "mx.example.com ESMTP"` + cert, ""},
		{"STARTTLS that is refused", starttls, trust, mail(plain, nil), "", `STARTTLS: answered "500 what?"`},
		{"STARTTLS without TLS behind it", starttls, trust, mail(with("STARTTLS", "220 go\r\n"), nil), "", "tls: first record does not look like a TLS handshake"},
		{"STARTTLS looks at the certificate", starttls, nil, mail(with("STARTTLS", "220 go\r\n"), config), "", "certificate signed by unknown authority"},
		{"what was slipped in before TLS is not heard", starttls, trust, mail(with("STARTTLS", "220 go\r\n250 injected\r\n"), config), "", "STARTTLS: it went on in the clear"},
		{"TLS from the start", &spec.SMTPCheck{Helo: "us"}, trust, func(c net.Conn) {
			mail(plain, nil)(tls.Server(c, config))
		}, `greeted "mx.example.com ESMTP"` + cert, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := spec.Check{Type: "smtp", Timeout: 5 * time.Second, SMTP: tt.smtp, TLS: tt.tls}
			if tt.err == "timed out" {
				c.Timeout = timeout
			}
			compare(t, see(t, c, serve(t, tt.handle)), tt.message, tt.err)
		})
	}
	if _, err := New(spec.Check{Type: "smtp", SMTP: &spec.SMTPCheck{Helo: "a\r\nMAIL FROM:<b>"}}, Target{}, Options{}); err == nil {
		t.Error("New with a helo of two lines = nil, want an error")
	}
}
