package conformance

// The packages with the tests.
const (
	core   = "internal/vrrp."
	daemon = "internal/vrrpd."
	host   = "internal/vrrpd/holding."
	socket = "internal/vrrpd/wire."
	tell   = "internal/vrrpd/announce."
	lang   = "hcl."
)

// Tests that many clauses have.
const (
	inOrder     = daemon + "TestWhatFailsACheckHasNoEffect/nothing"
	outOfOrder  = daemon + "TestWhatFailsACheckHasNoEffect/"
	onWire      = daemon + "TestAdvertsOnTheWire/physical MAC"
	onWireMAC   = daemon + "TestAdvertsOnTheWire/virtual MAC"
	bySight     = host + "TestMasterAndBackupOnASegment/physical MAC"
	bySightMAC  = host + "TestMasterAndBackupOnASegment/virtual MAC"
	vmacSegment = host + "TestVirtualMACOnASegment"
	notThere    = daemon + "TestBackupDoesNothingForTheAddresses"
	refused     = core + "TestNewLetterRefuses/"
	vector      = core + "TestOpenVectors/"
	judged      = core + "TestJudge/"
	mistake     = lang + "TestMistakes/"
	points      = daemon + "TestPointsChangeThePriority/"
	asWhole     = daemon + "TestConfigIsRefusedAsAWhole/"
)

// Reasons that several clauses share.
const (
	byVirtualMAC = "with `virtual_mac = true`. The default, as keepalived's, is the interface's own MAC: hosts follow the gratuitous ARP or neighbour advertisement, and the host needs no second device"
	byAccept     = "with `accept = false`. The default, as keepalived's, accepts: a director has to take what is for its addresses, and operators ping them"
	byChecksum   = "with `checksum = \"message\"`. The default has the pseudo-header, as keepalived 2.2 and FRR have it by default; both forms are received, and counted"

	constantTTL = "it is a constant of the header that is sent; no setting makes it another"
	kernelKeeps = "the kernel does it: it never routes link-local groups (`ip_route_input_mc`, `ip6_mc_input`), and nothing here lets it route multicast"
	kernelDoes  = "the kernel does it: what has no address here is not answered for, and what has one is"

	ownerListens = "erratum 8298 to RFC 9568 takes this back. The owner listens to another owner and raises an alert: of two owners that discard each other's adverts neither ever yields"
	noLinkLocal  = "an instance may be configured without a link-local address, as keepalived's may, and such adverts of others are heard, since dropping them would make two masters. Where there is one it goes first, and `validate` refuses another order"
	noRA         = "nothing here sends Router Advertisements. A host that should be found by them runs radvd or FRR beside, and its clients then use that host's own link-local address, which does not move; give clients the virtual address as their route instead"
	noRAEver     = "nothing here ever sends Router Advertisements, in whatever state"
	noRAOptions  = "nothing here sends Router Advertisements; who runs radvd or FRR beside has to give all members the same options"
	noProxyARP   = "nothing here turns proxy ARP on. Where an operator does, Linux answers with the MAC of the device on which it is set, which is the virtual one on a virtual router's macvlan"
	bothVersions = "speaking versions 2 and 3 at once is a MAY that is not offered: an instance speaks one version, and drops and counts the other"
	solicits     = "Linux asks for neighbours from the interface, by its own address and MAC, as the host's own traffic does not go by the macvlan. That says nothing of the virtual address: the neighbours' entry for that one stays"
	redirects4   = "Linux redirects in the name of the interface's first address (`__icmp_send`), and hosts ignore what is not from their gateway, which is the virtual address. With `virtual_mac` packets come and go by different devices, for which it sends none. Turn `send_redirects` off otherwise"
	redirects6   = "Linux redirects in the name of the interface's first link-local address (`ndisc_send_redirect`), which hosts ignore that route by a virtual one. With `virtual_mac` packets come and go by different devices, for which it sends none"
	tokenRing    = "Linux has had no token ring since 3.5"
)
