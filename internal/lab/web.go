package lab

import (
	"fmt"
	"path/filepath"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// webServer is the program behind every serve block (Debian package nginx-light).
const webServer = "/usr/sbin/nginx"

// serve gives a host a web server that answers every request with one text. The text is a
// file, because nginx has no way to write a dollar sign in its own configuration.
func (h *hostPlan) serve(v spec.Serve) {
	dir := fmt.Sprintf("/run/lab/web-%d", v.Port)
	h.file(filepath.Join(dir, "root/body"), v.Body)
	h.file(filepath.Join(dir, "nginx.conf"), fmt.Sprintf(`daemon off;
worker_processes 1;
pid %[1]s/pid;
error_log stderr warn;
events { worker_connections 512; }
http {
  access_log off;
  default_type text/plain;
  client_body_temp_path %[1]s/tmp;
  proxy_temp_path %[1]s/tmp;
  fastcgi_temp_path %[1]s/tmp;
  uwsgi_temp_path %[1]s/tmp;
  scgi_temp_path %[1]s/tmp;
  server {
    listen 0.0.0.0:%[2]d;
    root %[1]s/root;
    location / { try_files /body =404; }
  }
}
`, dir, v.Port))
	h.Services = append(h.Services, servicePlan{
		fmt.Sprintf("web-%d", v.Port),
		[]string{webServer, "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf")}, 0,
	})
}
