package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
)

func runCompletion(_ context.Context, e *env, args []string) int {
	fs := e.flags("completion")
	if err := e.parse(fs, args, 1); err != nil {
		return e.exit(err)
	}
	write, ok := map[string]func(io.Writer) error{
		"bash": writeBash, "zsh": writeZsh, "fish": writeFish,
	}[fs.Arg(0)]
	if !ok {
		return e.exit(fmt.Errorf("completion needs one of bash, zsh and fish, and got %q", fs.Arg(0)))
	}
	return e.exit(write(e.stdout))
}

var flagName = regexp.MustCompile(`(?:^|[\[ |])(-[a-z][a-z-]*)`)

// flagsOf returns the flags in a command's synopsis.
func (c command) flagsOf() []string {
	var out []string
	for _, m := range flagName.FindAllStringSubmatch(c.args, -1) {
		out = append(out, m[1])
	}
	return out
}

var verbList = regexp.MustCompile(`^[a-z]+(\|[a-z]+)+ \.\.\.`)

// verbsOf returns the words of which a command takes one first, such as up of lab.
func (c command) verbsOf() []string {
	words, _, _ := strings.Cut(verbList.FindString(c.args), " ")
	if words == "" {
		return nil
	}
	return strings.Split(words, "|")
}

// visible returns the commands that help lists.
func visible() (cs []command, names []string) {
	for _, c := range commands() {
		if c.summary != "" {
			cs, names = append(cs, c), append(names, c.name)
		}
	}
	return cs, names
}

func writeBash(w io.Writer) error {
	cs, names := visible()
	var b strings.Builder
	b.WriteString("# bash completion for hareconcile: source <(hareconcile completion bash)\n")
	b.WriteString("_hareconcile() {\n  local cur=${COMP_WORDS[COMP_CWORD]} flags=\n  COMPREPLY=()\n")
	fmt.Fprintf(&b, "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W '%s' -- \"$cur\"))\n    return\n  fi\n",
		strings.Join(names, " "))
	b.WriteString("  case ${COMP_WORDS[1]} in\n")
	for _, c := range cs {
		if f := c.flagsOf(); len(f) > 0 {
			fmt.Fprintf(&b, "    %s) flags='%s' ;;\n", c.name, strings.Join(f, " "))
		}
	}
	fmt.Fprintf(&b, "    completion) flags='bash zsh fish' ;;\n    help) flags='%s' ;;\n  esac\n", strings.Join(names, " "))
	b.WriteString("  if [ \"$COMP_CWORD\" -eq 2 ]; then\n    case ${COMP_WORDS[1]} in\n")
	for _, c := range cs {
		if v := c.verbsOf(); v != nil {
			fmt.Fprintf(&b, "      %s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n", c.name, strings.Join(v, " "))
		}
	}
	b.WriteString("    esac\n  fi\n")
	b.WriteString("  case $cur in\n    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$cur\")) ;;\n" +
		"    *) case ${COMP_WORDS[1]} in\n        completion | help) COMPREPLY=($(compgen -W \"$flags\" -- \"$cur\")) ;;\n" +
		"        *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n      esac ;;\n  esac\n}\n")
	b.WriteString("complete -o filenames -F _hareconcile hareconcile\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func writeZsh(w io.Writer) error {
	cs, _ := visible()
	var b strings.Builder
	b.WriteString("#compdef hareconcile\n# zsh completion for hareconcile: source <(hareconcile completion zsh)\n")
	b.WriteString("_hareconcile() {\n  local -a commands flags\n  commands=(\n")
	for _, c := range cs {
		fmt.Fprintf(&b, "    '%s:%s'\n", c.name, strings.ReplaceAll(c.summary, "'", "'\\''"))
	}
	b.WriteString("  )\n  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n  fi\n  case $words[2] in\n")
	for _, c := range cs {
		if f := c.flagsOf(); len(f) > 0 {
			fmt.Fprintf(&b, "    %s) flags=(%s) ;;\n", c.name, strings.Join(f, " "))
		}
		if v := c.verbsOf(); v != nil {
			fmt.Fprintf(&b, "    %s) (( CURRENT == 3 )) && flags=(%s) ;;\n", c.name, strings.Join(v, " "))
		}
	}
	b.WriteString("    completion) flags=(bash zsh fish) ;;\n  esac\n  compadd -- $flags\n  _files\n}\ncompdef _hareconcile hareconcile\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func writeFish(w io.Writer) error {
	cs, _ := visible()
	var b strings.Builder
	b.WriteString("# fish completion for hareconcile: hareconcile completion fish | source\n")
	for _, c := range cs {
		fmt.Fprintf(&b, "complete -c hareconcile -n __fish_use_subcommand -f -a %s -d '%s'\n",
			c.name, strings.ReplaceAll(c.summary, "'", "\\'"))
		if v := c.verbsOf(); v != nil {
			fmt.Fprintf(&b, "complete -c hareconcile -n '__fish_seen_subcommand_from %s' -a '%s'\n", c.name, strings.Join(v, " "))
		}
		for _, f := range c.flagsOf() {
			fmt.Fprintf(&b, "complete -c hareconcile -n '__fish_seen_subcommand_from %s' -o %s\n", c.name, f[1:])
		}
	}
	b.WriteString("complete -c hareconcile -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'\n")
	_, err := io.WriteString(w, b.String())
	return err
}
