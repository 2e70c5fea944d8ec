package probe

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// A resolver asks one question.
type resolver struct {
	wire   *wire
	check  spec.DNSCheck
	rtype  uint16
	rcodes []int
}

func newDNS(c spec.Check, t Target) (look, error) {
	if c.DNS == nil {
		return nil, errors.New("there is no question")
	}
	if c.DNS.Transport == "tls" && c.TLS == nil {
		c.TLS = &spec.TLS{}
	}
	r := &resolver{check: *c.DNS}
	var err error
	if r.wire, err = newWire(c, t); err != nil {
		return nil, err
	}
	var known bool
	if r.rtype, known = dns.StringToType[strings.ToUpper(cmp.Or(c.DNS.Query, "SOA"))]; !known {
		return nil, fmt.Errorf("there is no type %q", c.DNS.Query)
	}
	if _, ok := dns.IsDomainName(c.DNS.Name); !ok {
		return nil, fmt.Errorf("%q is no domain name", c.DNS.Name)
	}
	for _, name := range c.DNS.Rcodes {
		code, known := dns.StringToRcode[strings.ToUpper(name)]
		if !known {
			return nil, fmt.Errorf("there is no response code %q", name)
		}
		r.rcodes = append(r.rcodes, code)
	}
	if r.rcodes == nil {
		r.rcodes = []int{dns.RcodeSuccess}
	}
	switch c.DNS.Transport {
	case "", "udp":
		return r.datagram, nil
	case "tcp", "tls":
		return r.stream, nil
	}
	return nil, fmt.Errorf("there is no transport %q", c.DNS.Transport)
}

func (r *resolver) question() (*dns.Msg, []byte, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(r.check.Name), r.rtype) // with a random id
	b, err := q.Pack()
	return q, b, err
}

// datagram asks over UDP. The socket is connected, so that the kernel lets in what comes
// from the server's address and port alone. What is no answer to the question may be
// somebody's guess: the answer is waited for.
func (r *resolver) datagram(ctx context.Context) (Outcome, error) {
	q, b, err := r.question()
	if err != nil {
		return Outcome{}, err
	}
	c, err := r.wire.dial(ctx, "udp")
	if err != nil {
		return Outcome{}, err
	}
	defer func() { _ = c.Close() }() // a datagram socket has nothing to lose
	if _, err := c.Write(b); err != nil {
		return Outcome{}, err
	}
	buf := make([]byte, dns.MaxMsgSize)
	var last error
	for {
		n, err := c.Read(buf)
		if err != nil && last != nil {
			return Outcome{}, last
		}
		if err != nil {
			return Outcome{}, err
		}
		var m *dns.Msg
		if m, last = reply(q, buf[:n]); last == nil {
			return r.judge(m)
		}
	}
}

// stream asks over TCP or TLS (RFC 7766, section 8; RFC 7858).
func (r *resolver) stream(ctx context.Context) (Outcome, error) {
	q, b, err := r.question()
	if err != nil {
		return Outcome{}, err
	}
	l, err := r.wire.open(ctx, "dot")
	if err != nil {
		return Outcome{}, err
	}
	defer func() { _ = l.Close() }() // the answer has been read
	if _, err := l.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)); err != nil {
		return Outcome{}, err
	}
	var length [2]byte
	if _, err := io.ReadFull(l, length[:]); err != nil {
		return Outcome{}, err
	}
	b = make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(l, b); err != nil {
		return Outcome{}, err
	}
	m, err := reply(q, b)
	if err != nil {
		return Outcome{}, err
	}
	out, err := r.judge(m)
	out.Message = l.note(out.Message)
	return out, err
}

// reply reads the answer to q.
func reply(q *dns.Msg, b []byte) (*dns.Msg, error) {
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		return nil, errors.New("answered with something that is no DNS message")
	}
	switch {
	case !m.Response || m.Opcode != dns.OpcodeQuery || m.Id != q.Id:
		return nil, errors.New("answered to something that was not asked")
	case len(m.Question) == 0 && m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		return m, nil // it has not understood the question, or does not want to
	case len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, q.Question[0].Name) ||
		m.Question[0].Qtype != q.Question[0].Qtype || m.Question[0].Qclass != q.Question[0].Qclass:
		return nil, errors.New("answered to another question")
	}
	return m, nil
}

func (r *resolver) judge(m *dns.Msg) (Outcome, error) {
	code := cmp.Or(dns.RcodeToString[m.Rcode], fmt.Sprint("code ", m.Rcode))
	switch {
	case m.Truncated:
		return Outcome{}, errors.New("the answer is truncated: ask over tcp")
	case !slices.Contains(r.rcodes, m.Rcode):
		return Outcome{}, fmt.Errorf("%s, want %s", code, cmp.Or(strings.Join(r.check.Rcodes, " or "), "NOERROR"))
	case r.check.Answer && len(m.Answer) == 0:
		return Outcome{}, fmt.Errorf("%s without an answer", code)
	case r.check.Contains != "" && !slices.ContainsFunc(m.Answer, r.has):
		return Outcome{}, fmt.Errorf("no record of the answer contains %q", answer.Line(r.check.Contains))
	case len(m.Answer) == 1:
		return Outcome{Message: code + ", 1 record"}, nil
	}
	return Outcome{Message: fmt.Sprintf("%s, %d records", code, len(m.Answer))}, nil
}

// has reports whether a record's data, as zone files write it, has the text.
func (r *resolver) has(rr dns.RR) bool {
	return strings.Contains(strings.TrimPrefix(rr.String(), rr.Header().String()), r.check.Contains)
}
