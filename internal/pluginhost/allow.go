package pluginhost

import (
	"errors"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// execPlugin runs whatever programs its configuration names.
const execPlugin = "exec"

var errExecRefused = errors.New("is not allowed on this host: a repository that says which programs run is a repository that runs them; plugins { allow_exec = true } in agent.hcl allows it")

// allowed returns an error if the host's owner has not agreed to what a plugin does.
func allowed(plugin string, cfg spec.Plugins) error {
	if plugin == execPlugin && !cfg.AllowExec {
		return errExecRefused
	}
	return nil
}
