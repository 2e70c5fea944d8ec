package hcl

import (
	"fmt"
	"strings"
)

// Reference returns docs/reference/language.md: what the tables that drive decoding say.
func Reference() string {
	b := &strings.Builder{}
	b.WriteString("# The language\n\n")
	b.WriteString("This page is generated from the schema of package hcl (`go test ./hcl -update`). What is not on it is refused.\n\n")
	b.WriteString(referenceIntro)
	b.WriteString("## cluster.hcl\n\n" + clusterFile.doc + "\n\n")
	for _, c := range clusterFile.blocks {
		writeBlock(b, c, "###")
	}
	b.WriteString("## Functions\n\nAll are pure: there is no clock, environment, file or network.\n\n| function | result |\n| --- | --- |\n")
	all := map[string]builtin{}
	for name, f := range builtins {
		all[name] = f
	}
	for name, f := range special {
		all[name] = f
	}
	for _, name := range sortedKeys(all) {
		fmt.Fprintf(b, "| `%s` | %s |\n", name, all[name].doc)
	}
	b.WriteString("\n## Limits\n\n" + limitsText())
	for _, f := range []struct {
		name string
		def  *block
	}{{"agent.hcl", agentFile}, {"lab.hcl", labFile}} {
		fmt.Fprintf(b, "\n## %s\n\n%s\n\n", f.name, f.def.doc)
		writeAttrs(b, f.def)
		for _, c := range f.def.blocks {
			writeBlock(b, c, "###")
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

const referenceIntro = "References are resolved attribute by attribute, in any order: `var.NAME`, `local.NAME`, `node.name`, `node.address`, `each.key`, `each.value`, " +
	"and `TYPE.NAME.ATTRIBUTE` of vrrp_instance, sync_group, tracker, pool, virtual_server and haproxy. Only an attribute that needs itself is an error. " +
	"Where a block is wanted, it is named without quotes: `pool = pool.web`. A block with `for_each` (a map, or a set of strings) is repeated and named with the key: " +
	"`pool.web[\"a\"]`. Inside a block, `dynamic \"server\" { for_each, labels, iterator, content { ... } }` repeats another. " +
	"Durations are strings such as `\"500ms\"`, `\"5s\"`, `\"2m\"`.\n\n" +
	"Values of variables come from the files `*.hcvars` beside cluster.hcl, in sorted order; later ones win.\n\n"

func writeBlock(b *strings.Builder, def *block, level string) {
	if def.later {
		return
	}
	fmt.Fprintf(b, "%s %s\n\n`%s`\n\n%s%s\n\n", level, def.name, usage(def), def.doc, repeatText(def))
	writeAttrs(b, def)
	if later := laterNames(def); len(later) > 0 {
		fmt.Fprintf(b, "Not supported in this version: %s.\n\n", strings.Join(later, ", "))
	}
	for _, c := range def.blocks {
		writeBlock(b, c, level+"#")
	}
}

func repeatText(def *block) string {
	switch {
	case def.single:
		return " At most one."
	case def.each:
		return " Accepts `for_each`."
	}
	return ""
}

func writeAttrs(b *strings.Builder, def *block) {
	if len(def.attrNames()) == 0 {
		return
	}
	b.WriteString("| attribute | type | default | |\n| --- | --- | --- | --- |\n")
	for _, a := range def.attrs {
		if a.later {
			continue
		}
		preset := "`" + a.def + "`"
		switch {
		case a.required:
			preset = "required"
		case a.def == "":
			preset = ""
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", a.name, a.kind.name, preset, strings.ReplaceAll(a.doc, "|", "\\|"))
		for _, f := range a.fields {
			preset := ""
			if f.def != "" {
				preset = "`" + f.def + "`"
			}
			fmt.Fprintf(b, "| `%s.%s` | %s | %s | %s |\n", a.name, f.name, f.kind.name, preset, strings.ReplaceAll(f.doc, "|", "\\|"))
		}
	}
	b.WriteString("\n")
}

func laterNames(def *block) []string {
	var out []string
	for _, a := range def.attrs {
		if a.later {
			out = append(out, a.name)
		}
	}
	for _, c := range def.blocks {
		if c.later {
			out = append(out, c.name)
		}
	}
	return out
}

func limitsText() string {
	return fmt.Sprintf("| limit | |\n| --- | --- |\n| one file | %d KiB |\n| all files | %d files, %d KiB |\n| open brackets, quotes and templates | %d |\n"+
		"| words and signs without a comma or a new line | %d |\n| `for` in `for` | %d |\n| elements and bytes of a value | %d |\n| steps of evaluation for a node | %d |\n"+
		"| blocks made by `for_each` and `dynamic` | %d |\n| nodes | %d |\n| vrrp_instances, their addresses, trackers | %d, %d, %d |\n"+
		"| services, their servers | %d, %d |\n| haproxies; of one: proxies, servers, binds and routes, entries of maps, KiB of its file | %d; %d, %d, %d, %d, %d |\n",
		maxFileBytes>>10, maxFiles, maxTotalBytes>>10, maxBrackets, maxRun, maxForDepth, maxValue, maxWork, maxInstances, maxNodes, maxRouters, maxAddresses, maxTrackers, maxServices, maxDestinations,
		maxHAProxies, maxProxies, maxHAProxyServers, maxHAProxyLines, maxMapRecords, maxHAProxyText>>10)
}
