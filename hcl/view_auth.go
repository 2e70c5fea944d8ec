package hcl

import (
	"strconv"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// secret reads secret("name") and returns the name. size says how long what it names may be.
func (in *instance) secret(attr, size string) string {
	got, ok := in.get(attr)
	if !ok {
		return ""
	}
	if !got.Type().Equals(secretType) {
		in.ev.report.hidden = append(in.ev.report.hidden, in.attrRange(attr)) // it may be the secret itself
		in.fail(attr, "A secret is needed", "It is kept on the hosts and not in this file: write %s = secret(\"name\"), and put %s into it.", attr, size)
		return ""
	}
	return got.EncapsulatedValue().(*secretName).name
}

// auth reads the auth block: a password, or keys.
func (v *view) auth(in *instance) spec.Auth {
	var a spec.Auth
	for _, b := range in.children("auth") {
		version, keys := in.int("version"), b.children("key")
		password := b.body.Attributes["password"] != nil
		switch {
		case password == (len(keys) > 0):
			v.ev.report.errorf(b.at, "auth says nothing, or two things", "Write either a password (version 2) or keys (version 3): key \"1\" { secret = secret(\"name\") }.")
			return a
		case password && version == 3:
			b.fail("password", "Version 3 has no password", "RFC 5798 took it out, for it kept nobody out. Write key \"1\" { secret = secret(\"name\") }, or version = 2 where routers ask for a password.")
			return a
		case password:
			for _, attr := range []string{"mode", "active", "window"} {
				if b.body.Attributes[attr] != nil {
					b.fail(attr, attr+" does not fit", "It is for keys, and a password is the same on every advert.")
				}
			}
			a.Password = b.secret("password", "8 bytes at most")
			return a
		case version == 2:
			v.ev.report.errorf(keys[0].at, "Version 2 has no keys", "HMAC authenticates version 3 (draft-cassen-vrrp-auth-hmac).")
			return a
		}
		a.Mode, a.Window = b.string("mode"), b.duration("window")
		a.Keys = v.keys(keys)
		a.Active = b.active(a.Keys)
	}
	return a
}

func (v *view) keys(blocks []*instance) map[uint8]string {
	keys := map[uint8]string{}
	seen := map[string]bool{}
	for _, k := range blocks {
		v.once(seen, k)
		id, err := strconv.ParseUint(k.name, 10, 8)
		if err != nil || id == 0 || k.name[0] == '0' {
			v.ev.report.errorf(k.at, "Not the id of a key", "%q is no number from 1 to 255.", k.name)
			continue
		}
		keys[uint8(id)] = k.secret("secret", "32 to 64 bytes")
	}
	return keys
}

// active returns the id of the key that signs.
func (in *instance) active(keys map[uint8]string) uint8 {
	id := uint8(in.int("active"))
	switch {
	case in.body.Attributes["active"] == nil && len(keys) == 1:
		for id = range keys {
		}
	case in.body.Attributes["active"] == nil && len(keys) > 1:
		in.ev.report.errorf(in.at, "active is missing", "There are %d keys. Write active = ID for the one that signs.", len(keys))
	case keys[id] == "" && id != 0:
		in.fail("active", "There is no such key", "The key that signs has no block key \"%d\" { ... }.", id)
	}
	return id
}
