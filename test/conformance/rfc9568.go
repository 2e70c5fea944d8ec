package conformance

var rfc9568 = []Clause{
	{
		ID: "5.1.1.2 group", Level: MustNot, Who: "router", Text: "forward what is for 224.0.0.18, whatever its TTL",
		Positive: []string{host + "TestNothingRoutesMulticast"}, Negative: []string{socket + "TestAdvertsAreNotForwarded"}, Note: kernelKeeps,
	},
	{
		ID: "5.1.1.3 sent", Level: Must, Who: "sender", Text: "send with TTL 255",
		Positive: []string{core + "TestTTL", core + "TestLetterHeaderIsWhole", onWire}, Single: constantTTL,
	},
	{
		ID: "5.1.1.3 received", Level: Must, Who: "receiver", Text: "discard what has another TTL than 255",
		Positive: []string{core + "TestTTL", inOrder},
		Negative: []string{core + "TestTTL", judged + "TTL 254 has crossed a router", judged + "multicast never crosses one", outOfOrder + "a TTL of 254", socket + "TestProgramsSortPackets"},
		Note:     "unicast adverts may cross routers where signatures are enforced",
	},
	{
		ID: "5.1.2.2 group", Level: MustNot, Who: "router", Text: "forward what is for ff02::12, whatever its hop limit",
		Positive: []string{host + "TestNothingRoutesMulticast"}, Negative: []string{socket + "TestAdvertsAreNotForwarded"}, Note: kernelKeeps,
	},
	{
		ID: "5.1.2.3 sent", Level: Must, Who: "sender", Text: "send with hop limit 255",
		Positive: []string{core + "TestTTL", onWire}, Single: constantTTL,
	},
	{
		ID: "5.1.2.3 received", Level: Must, Who: "receiver", Text: "discard what has another hop limit than 255",
		Positive: []string{core + "TestTTL", core + "TestJudgeIPv6"}, Negative: []string{core + "TestTTL", socket + "TestProgramsSortPackets"},
	},
	{
		ID: "5.2.2 type", Level: Must, Who: "receiver", Text: "discard a packet of unknown type; 1 is the only one",
		Positive: []string{core + "TestVersionAndType"}, Negative: []string{core + "TestVersionAndType", vector + "type 2", outOfOrder + "type 2"},
	},
	{
		ID: "5.2.4 owner", Level: Must, Who: "owner", Text: "have priority 255",
		Positive: []string{lang + "TestWhatMayBeAlike/the owner's address and its own", daemon + "TestPriorityOfOwnersAndOthers", points + "an owner does not care"},
		Negative: []string{mistake + "address_is_nodes", points + "nobody rises to the owner"},
	},
	{
		ID: "5.2.4 others", Level: Must, Who: "backup", Text: "have a priority of 1 to 254",
		Positive: []string{daemon + "TestPriorityOfOwnersAndOthers", points + "nobody falls below 1", points + "nobody rises to the owner"},
		Negative: []string{mistake + "priority_zero", mistake + "priority_too_high", asWhole + "priority 0"},
	},
	{
		ID: "5.2.5 count", Level: Must, Who: "receiver", Text: "ignore an advert that counts no address",
		Positive: []string{vector + "the same with the pseudo-header", inOrder},
		Negative: []string{vector + "no address", outOfOrder + "no address", refused + "no address"},
	},
	{
		ID: "5.2.6 sent", Level: Must, Who: "sender", Text: "send zeros in the reserve",
		Positive: []string{core + "TestReserve"}, Negative: []string{core + "TestReserve", refused + "an interval beyond twelve bits"},
	},
	{
		ID: "5.2.6 received", Level: Must, Who: "receiver", Text: "ignore the reserve",
		Positive: []string{core + "TestReserve"}, Negative: []string{vector + "interval 0 beside reserved bits"},
	},
	{
		ID: "5.2.9 first", Level: Must, Who: "sender", Text: "over IPv6, name the virtual router's link-local address first",
		Positive: []string{core + "TestLinkLocalGoesFirst", onWire}, Negative: []string{mistake + "address_link_local"},
		Gap: differs + noLinkLocal,
	},
	{
		ID: "5.2.9 family", Level: Must, Who: "sender", Text: "name addresses of the family of the packet",
		Positive: []string{core + "TestListsOfOneFamily"},
		Negative: []string{core + "TestListsOfOneFamily", vector + "an IPv6 message over IPv4", vector + "an IPv4 message over IPv6", mistake + "two_families", asWhole + "two families"},
	},
	{
		ID: "6.1 interval", Level: Must, Unseen: true, Who: "configuration", Text: "have an interval of 1 to 4095 centiseconds (erratum 8301)",
		Positive: []string{core + "TestLettersAreTheVectors/one centisecond (PcapPlusPlus VRRP-V3-IPv4.dat)", core + "TestReserve"},
		Negative: []string{refused + "interval 0", refused + "an interval beyond twelve bits", refused + "a centisecond and a half", mistake + "interval_too_long", mistake + "interval_too_fine", asWhole + "interval 0"},
	},
	{
		ID: "6.1 first", Level: Must, Who: "configuration", Text: "have the link-local address first in the list of IPv6 addresses",
		Positive: []string{core + "TestLinkLocalGoesFirst"}, Negative: []string{mistake + "address_link_local"},
		Gap: differs + noLinkLocal,
	},
	{
		ID: "6.1 neighbours", Level: MustNot, Who: "active", Text: "drop neighbour solicitations and advertisements where Accept_Mode is false",
		Positive: []string{bySight, bySightMAC}, Negative: []string{host + "TestPacketsThatAreNotAcceptedAreDropped"},
	},
	{
		ID: "6.4.1 owner", Level: Step, Unseen: true, Who: "owner", Text: "when it starts, send an advert, announce each address, set the advert timer and be active",
		Positive: []string{core + "TestInitialize/105-145: the owner sends, takes the addresses, sets the advert timer and is MASTER", host + "TestOwnersAddressIsAnnounced", daemon + "TestOwnerAnnouncesWhatItHas", tell + "TestFrames/ARP", tell + "TestFrames/advertisement of a router"},
		Negative: []string{core + "TestInitialize/150-165: anybody else waits the master-down interval of its own interval as BACKUP", core + "TestInitialize/an advert before the start has no effect"},
		Note:     "the gratuitous ARP is as errata 7947 and 7949 have it",
	},
	{
		ID: "6.4.1 others", Level: Step, Unseen: true, Who: "others", Text: "when they start, wait the down interval of their own interval as backup",
		Positive: []string{core + "TestInitialize/150-165: anybody else waits the master-down interval of its own interval as BACKUP", core + "TestDownInterval"},
		Negative: []string{core + "TestInitialize/a start behind a gate that is down is a FAULT", core + "TestBackup/a second start has no effect"},
	},
	{
		ID: "6.4.2 arp", Level: MustNot, Who: "backup", Text: "answer ARP for the addresses",
		Positive: []string{bySight, bySightMAC}, Negative: []string{notThere}, Note: kernelDoes,
	},
	{
		ID: "6.4.2 neighbours", Level: MustNot, Who: "backup", Text: "answer neighbour solicitations for the addresses",
		Positive: []string{bySight, bySightMAC}, Negative: []string{notThere}, Note: kernelDoes,
	},
	{
		ID: "6.4.2 advertisements", Level: MustNot, Who: "backup", Text: "send Router Advertisements for the virtual router",
		Gap: notApplicable + noRAEver,
	},
	{
		ID: "6.4.2 frames", Level: Must, Who: "backup", Text: "discard what is sent to the virtual MAC",
		Positive: []string{bySightMAC}, Negative: []string{bySight, vmacSegment},
		Note: "without `virtual_mac` there is no such MAC on the host; with it, its macvlan is down while backup",
	},
	{
		ID: "6.4.2 accept", Level: MustNot, Who: "backup", Text: "accept what is for the addresses",
		Positive: []string{bySight, bySightMAC}, Negative: []string{notThere, daemon + "TestResignAndStop"},
	},
	{
		ID: "6.4.2 shutdown", Level: Must, Unseen: true, Who: "backup", Text: "on a shutdown, cancel the down timer and leave",
		Positive: []string{core + "TestBackup/335-345: a stop cancels the timer and says nothing"},
		Negative: []string{core + "TestInitialize/a stop before the start has no effect", core + "TestFault/a timer that is left over has no effect"},
	},
	{
		ID: "6.4.2 silence", Level: Must, Unseen: true, Who: "backup", Text: "when the down timer fires, send an advert, announce each address (over IPv6, join its solicited-node group first), set the advert timer and be active",
		Positive: []string{core + "TestBackup/350-395: silence makes it send first, then take the addresses", daemon + "TestSilencePromotes", onWire, bySight, tell + "TestFrames/ARP", tell + "TestFrames/advertisement of a router"},
		Negative: []string{daemon + "TestQueuedAdvertsAreReadBeforeTimers", daemon + "TestFloodIsNotSilence", tell + "TestFrames/advertisement of a host"},
		Note:     "the router flag is set where the host forwards IPv6: one that does not must not say so (RFC 4861, section 6.2.7)",
	},
	{
		ID: "6.4.2 priority-0", Level: Must, Unseen: true, Who: "backup", Text: "after priority 0, wait the skew only",
		Positive: []string{core + "TestBackup/425-430: priority 0 shortens the wait to the skew", core + "TestBackup/priority 0 counts while no master is known", core + "TestPreempt/never: priority 0 shortens the wait all the same"},
		Negative: []string{core + "TestBackup/priority 0 from somebody who is not the master has no effect"},
		Note:     "from another than the master that it follows it has no effect: who was not followed cannot resign",
	},
	{
		ID: "6.4.2 follow", Level: Must, Unseen: true, Who: "backup", Text: "after an advert of a priority that is not lower, or of any without preemption, take over its interval, compute skew and down interval anew and wait again",
		Positive: []string{core + "TestBackup/445-460: a higher priority starts the wait again", core + "TestBackup/445: an equal priority counts as higher, whatever the addresses", core + "TestBackup/450-457: wait and skew follow the master's interval", core + "TestBackup/445: without preemption any priority starts the wait again", judged + "a peer at four times our interval"},
		Negative: []string{core + "TestBackup/465-470: a lower priority does not put preemption off", judged + "a peer above four times", judged + "a peer below a quarter"},
		Note:     "an interval of more than four times ours, or less than a quarter, has no effect",
	},
	{
		ID: "6.4.2 preempt", Level: Must, Unseen: true, Who: "backup", Text: "with preemption, discard an advert of a lower priority",
		Positive: []string{core + "TestBackup/465-470: a lower priority does not put preemption off", core + "TestPreempt/6.1: the owner preempts whatever the flag"},
		Negative: []string{core + "TestBackup/445: without preemption any priority starts the wait again", core + "TestBackup/445: an equal priority counts as higher, whatever the addresses"},
		Note:     "while `preempt = { delay = ... }` lasts it is followed",
	},
	{
		ID: "6.4.3 arp", Level: Must, Who: "active", Text: "answer ARP for the addresses",
		Positive: []string{bySight, bySightMAC}, Negative: []string{host + "TestRefusalIsTriedAgain/refused", daemon + "TestAddressesAreMended"}, Note: kernelDoes,
	},
	{
		ID: "6.4.3 group", Level: Must, Who: "active", Text: "be in the solicited-node groups of the IPv6 addresses",
		Positive: []string{bySight, bySightMAC}, Single: "the kernel joins with the address; that a backup is not in them is seen by the same tests",
	},
	{
		ID: "6.4.3 neighbours", Level: Must, Who: "active", Text: "answer neighbour solicitations for the addresses, with the router flag",
		Positive: []string{bySight, bySightMAC}, Negative: []string{host + "TestTargetsAreWhatIsHeld", tell + "TestFrames/advertisement of a host"},
		Note: "the flag is set where the host forwards IPv6; the macvlan forwards as its interface does",
	},
	{
		ID: "6.4.3 advertisements", Level: Must, Who: "active", Text: "send Router Advertisements for the virtual router",
		Gap: differs + noRA,
	},
	{
		ID: "6.4.3 frames", Level: Must, Who: "active", Text: "forward what is sent to the virtual MAC",
		Positive: []string{bySightMAC}, Negative: []string{bySight}, Option: byVirtualMAC,
	},
	{
		ID: "6.4.3 accept", Level: Must, Who: "active", Text: "accept what is for the addresses if it is their owner or Accept_Mode is true",
		Positive: []string{bySight, bySightMAC, daemon + "TestAcceptModeIsForOthers"}, Negative: []string{host + "TestPacketsThatAreNotAcceptedAreDropped"},
	},
	{
		ID: "6.4.3 refuse", Level: MustNot, Who: "active", Text: "accept what is for the addresses otherwise",
		Positive: []string{bySight, bySightMAC, host + "TestPacketsThatAreNotAcceptedAreDropped"}, Negative: []string{daemon + "TestAcceptModeIsForOthers"}, Option: byAccept,
	},
	{
		ID: "6.4.3 keep", Level: MustNot, Who: "active", Text: "drop neighbour solicitations and advertisements while it does not accept",
		Positive: []string{bySight, bySightMAC}, Negative: []string{host + "TestPacketsThatAreNotAcceptedAreDropped"},
	},
	{
		ID: "6.4.3 shutdown", Level: Must, Unseen: true, Who: "active", Text: "on a shutdown, cancel the advert timer, send priority 0 and leave",
		Positive: []string{core + "TestMaster/655-670: a stop sends priority 0 before it leaves", daemon + "TestStopResignsAndWithdraws", onWire},
		Negative: []string{core + "TestFault/a stop says nothing", core + "TestBackup/335-345: a stop cancels the timer and says nothing"},
	},
	{
		ID: "6.4.3 timer", Level: Must, Unseen: true, Who: "active", Text: "when the advert timer fires, send an advert and set the timer anew",
		Positive: []string{core + "TestMaster/680-690: the timer sends an advert and starts again", daemon + "TestAdvertsKeepTheirRhythm"},
		Negative: []string{core + "TestPreempt/a timer that is left over has no effect on a master"},
	},
	{
		ID: "6.4.3 priority-0", Level: Must, Unseen: true, Who: "active", Text: "answer priority 0 with an advert and set the timer anew",
		Positive: []string{core + "TestMaster/705-715: priority 0 is answered at once and starts the timer again"},
		Negative: []string{core + "TestMaster/after a pause a resignation is not answered", core + "TestFault/adverts have no effect"},
		Note:     "a process that slept and has not sent since may have been replaced, and does not answer",
	},
	{
		ID: "6.4.3 yield", Level: Must, Unseen: true, Who: "active", Text: "become backup on an advert of a higher priority, or of an equal one from a higher address as an unsigned number: cancel the timer, take over its interval, compute skew and down interval anew and wait",
		Positive: []string{core + "TestMaster/725-755: a higher priority makes it BACKUP", core + "TestMaster/725: an equal priority from a higher address makes it BACKUP", core + "TestMaster/725: it is outranked also where it would not preempt", core + "TestMaster/735-750: the wait follows the new master's interval", core + "TestTiesAreUnsigned"},
		Negative: []string{core + "TestMaster/760-770: an equal priority from a lower address is answered at once", core + "TestTiesAreUnsigned"},
	},
	{
		ID: "6.4.3 assert", Level: Must, Unseen: true, Who: "active", Text: "discard any other advert and send one at once",
		Positive: []string{core + "TestMaster/760-770: a lower priority is answered at once, and the addresses announced", core + "TestMaster/760-770: an equal priority from a lower address is answered at once", daemon + "TestLowerMasterIsAnsweredAndAnnounced"},
		Negative: []string{core + "TestMaster/725-755: a higher priority makes it BACKUP", core + "TestTwoOwners/then it yields to one that insists"},
		Note:     "two exceptions: another owner that insists is yielded to in the end, and so is anybody right after a pause of the process",
	},
	{
		ID: "7.1 ttl", Level: Must, Who: "receiver", Text: "verify that the TTL or hop limit is 255",
		Positive: []string{core + "TestTTL"}, Negative: []string{core + "TestTTL", outOfOrder + "a TTL of 254"},
	},
	{
		ID: "7.1 version", Level: Must, Who: "receiver", Text: "verify that the version is 3",
		Positive: []string{core + "TestVersionAndType"},
		Negative: []string{core + "TestVersionAndType", judged + "version 2 to version 3", outOfOrder + "version 4", outOfOrder + "version 2 to version 3"},
	},
	{
		ID: "7.1 type", Level: Must, Who: "receiver", Text: "verify that the type is 1",
		Positive: []string{core + "TestVersionAndType"}, Negative: []string{core + "TestVersionAndType", outOfOrder + "type 2"},
	},
	{
		ID: "7.1 whole", Level: Must, Who: "receiver", Text: "verify that the packet is complete, with all addresses",
		Positive: []string{core + "TestWholePackets"},
		Negative: []string{core + "TestWholePackets", vector + "a count of two over one address", outOfOrder + "a packet that is cut", core + "TestOpenHeaders/cut within the message"},
	},
	{
		ID: "7.1 checksum", Level: Must, Who: "receiver", Text: "verify the checksum",
		Positive: []string{core + "TestBothChecksumForms", vector + "version 3 as RFC 9568 sums it", vector + "IPv6, by hand"},
		Negative: []string{core + "TestChecksumsOfEveryWord", core + "TestEveryBitCounts", vector + "IPv6 without a pseudo-header", outOfOrder + "a wrong checksum"},
		Note:     "over IPv4 the form of RFC 5798, with a pseudo-header, is right, too",
	},
	{
		ID: "7.1 vrid", Level: Must, Who: "receiver", Text: "verify that the virtual router is configured on the interface",
		Positive: []string{inOrder, socket + "TestHearsGroupAndSelf"},
		Negative: []string{outOfOrder + "a router id that we have not", outOfOrder + "the router id on another interface", outOfOrder + "the router id of the other family", vector + "virtual router id 0", socket + "TestDoesNotHearItselfOrOthersVRIDs"},
	},
	{
		ID: "7.1 owner", Level: Must, Who: "receiver", Text: "verify that it is not itself the owner",
		Positive: []string{daemon + "TestOwnerHearsAnotherOwner"}, Negative: []string{core + "TestTwoOwners/the lower address yields"},
		Gap: notApplicable + ownerListens,
	},
	{
		ID: "7.1 count", Level: Must, Who: "receiver", Text: "verify that the count of addresses is not zero (erratum 8299)",
		Positive: []string{inOrder}, Negative: []string{vector + "no address", outOfOrder + "no address"},
	},
	{
		ID: "7.1 first", Level: Must, Who: "receiver", Text: "over IPv6, verify that the first address is link-local (erratum 8300)",
		Positive: []string{vector + "IPv6 (tcpdump tests/vrrp.pcap)"}, Negative: []string{vector + "IPv6 of priority 254 (scapy vrrp.uts)"},
		Gap: differs + noLinkLocal,
	},
	{
		ID: "7.1 interval", Level: Must, Unseen: true, Who: "receiver", Text: "verify that the interval is not zero (erratum 8301)",
		Positive: []string{vector + "one centisecond (PcapPlusPlus VRRP-V3-IPv4.dat)"}, Negative: []string{vector + "interval 0", outOfOrder + "interval 0"},
	},
	{
		ID: "7.1 discard", Level: Must, Who: "receiver", Text: "discard what fails any of these",
		Positive: []string{inOrder}, Negative: []string{daemon + "TestWhatFailsACheckHasNoEffect", core + "TestWhatFailsMovesNoMark"},
	},
	{
		ID: "7.2 fields", Level: Must, Unseen: true, Who: "sender", Text: "fill in the fields from the configuration",
		Positive: []string{core + "TestLettersAreTheVectors", core + "TestEveryPriority", onWire}, Negative: []string{core + "TestNewLetterRefuses", daemon + "TestConfigIsRefusedAsAWhole"},
	},
	{
		ID: "7.2 checksum", Level: Must, Unseen: true, Who: "sender", Text: "compute the checksum: over IPv4 of the message, over IPv6 with a pseudo-header (section 5.2.8)",
		Positive: []string{core + "TestBothChecksumForms", core + "TestLettersAreTheVectors/version 3 as RFC 9568 sums it", core + "TestLettersAreTheVectors/IPv6, by hand"},
		Negative: []string{core + "TestBothChecksumForms", vector + "IPv6 without a pseudo-header"}, Option: byChecksum,
	},
	{
		ID: "7.2 mac", Level: Must, Unseen: true, Who: "sender", Text: "send from the virtual MAC",
		Positive: []string{onWireMAC}, Negative: []string{onWire}, Option: byVirtualMAC,
	},
	{
		ID: "7.2 source", Level: Must, Unseen: true, Who: "sender", Text: "send from the interface's primary IPv4 address, or its link-local IPv6 address",
		Positive: []string{onWire, onWireMAC, daemon + "TestIPv6ComesFromTheLinkLocalAddress"},
		Negative: []string{daemon + "TestAdvertsNeedTheirSource", refused + "no source", refused + "a group as source", mistake + "source_family"},
		Note:     "over IPv4 it is the address that the cluster file gives the node, or `source`; `validate` warns of a global one over IPv6",
	},
	{
		ID: "7.2 protocol", Level: Must, Unseen: true, Who: "sender", Text: "send as protocol 112",
		Positive: []string{onWire, core + "TestLetterHeaderIsWhole"}, Negative: []string{core + "TestOpenHeaders/another protocol", core + "TestOpenHeaders/IPv6 with an extension header"},
	},
	{
		ID: "7.2 group", Level: Must, Unseen: true, Who: "sender", Text: "send to the multicast group",
		Positive: []string{onWire, onWireMAC}, Negative: []string{judged + "another group", judged + "unicast to a multicast router"},
		Note: "`unicast = true`, which is not in the RFC, sends to peers instead",
	},
	{
		ID: "7.4 identifier", Level: MustNot, Who: "IPv6 router", Text: "make interface identifiers of the virtual MAC",
		Positive: []string{host + "TestNoIdentifierIsMadeOfTheVirtualMAC"}, Single: "the test looks at every address of a host with a virtual MAC; there is nothing else to make one of it",
	},
	{
		ID: "8.1.1 redirect", Level: Must, Unseen: true, Who: "active", Text: "find out to which virtual router a packet was sent before choosing the source of a redirect",
		Positive: []string{host + "TestRedirects/virtual MAC"}, Negative: []string{host + "TestRedirects/physical MAC"}, Gap: differs + redirects4,
	},
	{
		ID: "8.1.2 virtual", Level: Must, Who: "active", Text: "answer ARP with the virtual MAC",
		Positive: []string{bySightMAC, vmacSegment}, Negative: []string{bySight}, Option: byVirtualMAC,
	},
	{
		ID: "8.1.2 physical", Level: MustNot, Who: "active", Text: "answer ARP with its physical MAC",
		Positive: []string{vmacSegment}, Negative: []string{bySightMAC}, Option: byVirtualMAC,
		Note: "an owner's addresses must then not be on the interface itself as well, which would answer for them",
	},
	{
		ID: "8.1.2 boot", Level: Must, Who: "router", Text: "delay gratuitous ARP until address and virtual MAC are configured",
		Positive: []string{host + "TestNothingIsAnnouncedBeforeItIsThere", onWireMAC}, Negative: []string{host + "TestTargetsAreWhatIsHeld", host + "TestRefusalIsTriedAgain/refused"},
	},
	{
		ID: "8.1.3 proxy", Level: Must, Who: "router", Text: "tell the virtual MAC in proxy ARP",
		Gap: notApplicable + noProxyARP,
	},
	{
		ID: "8.2.1 redirect", Level: Must, Unseen: true, Who: "active", Text: "find out to which virtual router a packet was sent before choosing the source of an ICMPv6 redirect",
		Positive: []string{host + "TestRedirects/virtual MAC"}, Negative: []string{host + "TestRedirects/physical MAC"}, Gap: differs + redirects6,
	},
	{
		ID: "8.2.2 virtual", Level: Must, Who: "active", Text: "answer neighbour solicitations with the virtual MAC",
		Positive: []string{bySightMAC, vmacSegment}, Negative: []string{bySight}, Option: byVirtualMAC,
	},
	{
		ID: "8.2.2 physical", Level: MustNot, Who: "active", Text: "answer neighbour solicitations with its physical MAC",
		Positive: []string{vmacSegment}, Negative: []string{bySightMAC}, Option: byVirtualMAC,
	},
	{
		ID: "8.2.2 asks", Level: Must, Who: "active", Text: "tell the virtual MAC as source link-layer address when it solicits a host",
		Positive: []string{host + "TestSolicitationsTellNothingOfTheVirtualAddress"}, Gap: differs + solicits,
	},
	{
		ID: "8.2.2 asks-physical", Level: MustNot, Who: "active", Text: "tell its physical MAC there",
		Positive: []string{host + "TestSolicitationsTellNothingOfTheVirtualAddress"}, Gap: differs + solicits,
	},
	{
		ID: "8.2.2 boot", Level: Must, Who: "router", Text: "delay Router and Neighbour Advertisements and Solicitations until address and virtual MAC are configured",
		Positive: []string{host + "TestNothingIsAnnouncedBeforeItIsThere", onWireMAC}, Negative: []string{host + "TestTargetsAreWhatIsHeld", host + "TestRefusalIsTriedAgain/unanswered"},
		Note: "the addresses are on the macvlan only, which is down until then",
	},
	{
		ID: "8.2.3 options", Level: Must, Who: "backup", Text: "be configured to send the Router Advertisement options that the owner sends",
		Gap: notApplicable + noRAOptions,
	},
	{
		ID: "8.4.2 both", Level: Must, Unseen: true, Who: "active", Text: "send both versions at the configured rate, if configured for both",
		Gap: notApplicable + bothVersions,
	},
	{
		ID: "8.4.2 rate", Level: Must, Unseen: true, Who: "backup", Text: "time out by the rate that the active router advertises, if configured for both",
		Gap: notApplicable + bothVersions,
	},
	{
		ID: "8.4.2 seconds", Level: Must, Unseen: true, Who: "backup", Text: "translate version 2's seconds to centiseconds, if configured for both",
		Gap: notApplicable + bothVersions,
	},
}
