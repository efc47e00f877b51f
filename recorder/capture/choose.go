//go:build linux

package capture

// choose returns the links that are recorded by default: every one that is up, but not
//
//   - loopback, which shows packets twice and carries no network's latency
//   - a member of a bond, team or bridge: the bond or bridge shows its packets
//   - a VLAN on a link that is recorded itself, tags included
//   - a container's veth: one whose other end is in another namespace and that has no
//     address of its own, as the ports that container networks leave on the host have
//     none. A veth with an address is this namespace's way out. Where nothing else is
//     left to record, all veths are.
func choose(all []link) []link {
	chosen := pick(all, false)
	if len(chosen) == 0 {
		chosen = pick(all, true)
	}
	return chosen
}

// pick applies the rules of choose, with or without the containers' veths.
func pick(all []link, containers bool) []link {
	recorded := map[int]bool{}
	var some []link
	for _, l := range all {
		if !l.up() || l.loopback() || l.member() || l.driver == "vlan" || l.container() && !containers {
			continue
		}
		recorded[l.index] = true
		some = append(some, l)
	}
	for _, l := range all {
		below := recorded[l.parent] && !l.foreign
		if l.driver == "vlan" && l.up() && !l.member() && !below {
			some = append(some, l)
		}
	}
	return some
}

// member says whether the packets of l are seen again on the link that it belongs to.
// A member of a VRF is none: it is the VRF's device that adds nothing.
func (l link) member() bool {
	switch l.slave {
	case "bond", "team", "bridge", "openvswitch", "ovs-system":
		return true
	}
	return l.master != 0 && l.slave == "" || l.driver == "vrf"
}

// container says whether l looks like the host's end of a container's veth.
func (l link) container() bool { return l.driver == "veth" && l.foreign && !l.address }

// allot splits a budget over links and returns a size for each, in their order: the
// smallest ring for all; of the rest, half equally, so that a quiet link keeps its
// minutes, and half by the packets that each has seen since it was made, so that the
// busy one does not pay for ten idle ones. The budget must do for the smallest rings.
func allot(budget int, some []link) []int {
	rest := float64(budget - len(some)*minRing())
	var total float64
	for _, l := range some {
		total += float64(l.packets) + 1
	}
	sizes := make([]int, len(some))
	for i, l := range some {
		share := 1/float64(len(some)) + (float64(l.packets)+1)/total
		sizes[i] = minRing() + int(rest*share/2)
	}
	return sizes
}
