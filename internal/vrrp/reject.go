package vrrp

// A Reject says why an advert has no effect; Admitted means that it has one.
type Reject uint8

// Why a packet has no effect, in the order of the checks: first what Open finds, then
// what Guard.Judge does.
const (
	Admitted Reject = iota
	RejectHeader
	RejectFragment
	RejectShort
	RejectVersion
	RejectType
	RejectVRID
	RejectCount
	RejectLength
	RejectInterval
	RejectChecksum
	RejectFamily
	RejectTTL
	RejectDestination
	RejectOtherVersion
	RejectOwn
	RejectStranger
	RejectAuthType
	RejectPassword
	RejectMismatch
	RejectBounds
	RejectUnsigned
	RejectSigned
	RejectTrailer
	RejectStale
	RejectKey
	RejectHMAC
	RejectReplay
	// NumRejects is the size of an array with a counter for each.
	NumRejects
)

var rejects = [NumRejects]string{
	Admitted:           "received",
	RejectHeader:       "bad_ip_header",
	RejectFragment:     "fragment",
	RejectShort:        "too_short",
	RejectVersion:      "unknown_version",
	RejectType:         "wrong_type",
	RejectVRID:         "vrid_zero",
	RejectCount:        "no_addresses",
	RejectLength:       "length_mismatch",
	RejectInterval:     "interval_zero",
	RejectChecksum:     "bad_checksum",
	RejectFamily:       "wrong_family",
	RejectTTL:          "ttl_not_255",
	RejectDestination:  "wrong_destination",
	RejectOtherVersion: "wrong_version",
	RejectOwn:          "own_packet",
	RejectStranger:     "unknown_peer",
	RejectAuthType:     "wrong_auth_type",
	RejectPassword:     "wrong_password",
	RejectMismatch:     "interval_mismatch",
	RejectBounds:       "interval_out_of_bounds",
	RejectUnsigned:     "unsigned",
	RejectSigned:       "signed_but_no_keys",
	RejectTrailer:      "bad_hmac_trailer",
	RejectStale:        "hmac_stale",
	RejectKey:          "hmac_unknown_key",
	RejectHMAC:         "hmac_invalid",
	RejectReplay:       "hmac_replayed",
}

// String returns the reason as a counter's name.
func (r Reject) String() string {
	if r < NumRejects {
		return rejects[r]
	}
	return "unknown"
}
