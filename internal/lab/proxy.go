package lab

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// proxyServer is the program behind every haproxy block (Debian package haproxy).
const proxyServer = "/usr/sbin/haproxy"

// usersProxy is what stands for the user's own haproxy.cfg, which hareconcile never touches:
// what Debian's package comes with, but that it logs to the service's log (a lab has no
// syslog), stays in the foreground, and has nothing of TLS.
const usersProxy = `global
	log stderr format raw local0 notice
	chroot /var/lib/haproxy
	stats socket %s mode 660 level admin
	stats timeout 30s
	user haproxy
	group haproxy

defaults
	log	global
	mode	http
	option	httplog
	option	dontlognull
        timeout connect 5000
        timeout client  50000
        timeout server  50000
`

// proxies gives a node the haproxies of its definitions, each started as Debian's unit does,
// with the folder of the managed file as one more -f.
func (h *hostPlan) proxies(c *spec.Cluster) error {
	folders := map[string][]string{} // by the master socket: one process may have several blocks
	var masters []string
	for _, p := range c.HAProxies {
		if !slices.Contains(p.Nodes, h.Name) {
			continue
		}
		if !ownable(p.ConfigDir) {
			return fmt.Errorf("the config_dir of haproxy %q is %s; a host of a lab has folders of its own below %s only",
				p.Name, p.ConfigDir, strings.Join(ownRoots, ", "))
		}
		if folders[p.MasterSocket] == nil {
			masters = append(masters, p.MasterSocket)
		}
		folders[p.MasterSocket] = append(folders[p.MasterSocket], p.ConfigDir)
		h.Folders = append(h.Folders, p.ConfigDir, filepath.Dir(p.MasterSocket), filepath.Dir(p.RuntimeSocket))
	}
	for k, master := range masters {
		name := "haproxy"
		if k > 0 {
			name = fmt.Sprintf("haproxy-%d", k+1)
		}
		cfg := "/etc/haproxy/" + name + ".cfg"
		h.file(cfg, fmt.Sprintf(usersProxy, "/run/"+name+"/admin.sock"))
		h.Folders = append(h.Folders, "/run/"+name)
		argv := []string{proxyServer, "-W", "-S", master, "-p", "/run/" + name + ".pid", "-f", cfg}
		for _, dir := range folders[master] {
			argv = append(argv, "-f", dir)
		}
		h.Services = append(h.Services, servicePlan{name, argv, 0})
	}
	return nil
}
