package main

import (
	"fmt"
	"path"
	"strings"

	"github.com/godbus/dbus/v5"
)

// unitPath returns the object of a unit. Every byte but letters and digits is escaped, and a
// digit in front too (sd_bus_path_encode(3)).
func unitPath(name string) dbus.ObjectPath {
	var b strings.Builder
	b.WriteString("/org/freedesktop/systemd1/unit/")
	for k := range len(name) {
		switch c := name[k]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9' && k > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return dbus.ObjectPath(b.String())
}

// unitInterface returns the interface of a unit's type, such as that of services.
func unitInterface(name string) string {
	kind := strings.TrimPrefix(path.Ext(name), ".")
	return systemd + "." + strings.ToUpper(kind[:1]) + kind[1:]
}
