package planfile

import "fmt"

// describe names the revision as people write it: main@8f3c2d1, or the folder.
func (r Revision) describe() string {
	switch {
	case r.Commit != "" && r.Ref != "":
		return clean(r.Ref) + "@" + clean(short(r.Commit))
	case r.Commit != "":
		return clean(short(r.Commit))
	case r.Dir != "":
		return clean(r.Dir)
	}
	return "the cluster file"
}

func subject(r Revision) string {
	if r.Subject == "" {
		return ""
	}
	return fmt.Sprintf("  %q", r.Subject)
}

func short(commit string) string { return commit[:min(7, len(commit))] }
