package bfd

// A Reject says why a packet has no effect.
type Reject uint8

// The reasons to discard a packet (RFC 5880, section 6.8.6).
const (
	Accepted Reject = iota
	// RejectShort is a payload of less than 24 octets.
	RejectShort
	RejectVersion
	// RejectLength is a length field that is below 24 or beyond the payload.
	RejectLength
	// RejectAuth is a packet with an authentication section: no session here uses one.
	RejectAuth
	RejectMultipoint
	RejectMultiplier
	// RejectMine is a sender without a discriminator.
	RejectMine
	// RejectYours is a sender that claims to know us without our discriminator.
	RejectYours
)

var rejects = [...]string{
	Accepted:         "received",
	RejectShort:      "too_short",
	RejectVersion:    "wrong_version",
	RejectLength:     "length_mismatch",
	RejectAuth:       "unwanted_auth",
	RejectMultipoint: "multipoint",
	RejectMultiplier: "multiplier_zero",
	RejectMine:       "no_discriminator",
	RejectYours:      "your_discriminator_zero",
}

// String returns the reason as a counter's key.
func (r Reject) String() string {
	if int(r) < len(rejects) {
		return rejects[r]
	}
	return "unknown"
}
