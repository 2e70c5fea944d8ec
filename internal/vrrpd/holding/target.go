package holding

// Transmit is where owner's adverts go out, and from which MAC.
func (t *Table) Transmit(name string) (index int, mac [6]byte) {
	o := t.owners[name]
	if o == nil {
		return 0, mac
	}
	l := t.links[t.names[o.wants.Device]]
	return l.Index, l.MAC
}
