package vrrp

// A Reject says why an advert has no effect; Admitted means that it has one.
type Reject uint8

// Why a packet is not an advert for us, in the order of the checks.
const (
	Admitted Reject = iota
	RejectHeader
	RejectFragment
	RejectTTL
	RejectDestination
	RejectShort
	RejectVersion
	RejectType
	RejectVRID
	RejectCount
	RejectLength
	RejectInterval
	RejectChecksum
	RejectOwn
	RejectStranger
	RejectBounds
	// NumRejects is the size of an array with a counter for each.
	NumRejects
)

var rejects = [NumRejects]string{
	Admitted:          "received",
	RejectHeader:      "bad_ip_header",
	RejectFragment:    "fragment",
	RejectTTL:         "ttl_not_255",
	RejectDestination: "wrong_destination",
	RejectShort:       "too_short",
	RejectVersion:     "wrong_version",
	RejectType:        "wrong_type",
	RejectVRID:        "vrid_zero",
	RejectCount:       "no_addresses",
	RejectLength:      "length_mismatch",
	RejectInterval:    "interval_zero",
	RejectChecksum:    "bad_checksum",
	RejectOwn:         "own_packet",
	RejectStranger:    "unknown_peer",
	RejectBounds:      "interval_out_of_bounds",
}

// String returns the reason as a counter's name.
func (r Reject) String() string {
	if r < NumRejects {
		return rejects[r]
	}
	return "unknown"
}
