package hcl

import (
	"github.com/hareconcile/hareconcile/internal/spec"
)

// reach bounds what trackers make of a priority (RFC 9568, section 5.2.4: 0 resigns and 255
// is the owner's).
func reach(priority int) int { return min(max(priority, 1), 254) }

// clampRules refuses points whose effect is lost at the ends of what a priority can be.
// lose and gain are the sums over all trackers, members are in order and without the owner.
func (v *view) clampRules(i spec.VRRPInstance, in *instance, members []string, lose, gain int) {
	moves := false
	for k := 1; k < len(members); k++ {
		above, below := int(i.Priority[members[k-1]]), int(i.Priority[members[k]])
		moves = moves || reach(below+gain) > reach(above-lose)
	}
	if !moves {
		in.fail("points", "The points can never move the address", "A priority ends at 1 and at 254, and there is no room for the points between those of %s: %s is left with %d, and %s gets no more than %d. Move the priorities away from the ends.",
			i.Origin.Address, members[0], reach(int(i.Priority[members[0]])-lose), members[1], reach(int(i.Priority[members[1]])+gain))
		return
	}
	for k := 1; k < len(members); k++ {
		above, below := int(i.Priority[members[k-1]]), int(i.Priority[members[k]])
		switch {
		case above == below:
		case reach(above-lose) == reach(below-lose):
			in.fail("points", "The points take more than there is", "With all trackers down, %s would have %d and %s %d. A priority ends at 1, so both have that, and the better of them is not preferred any more. All points together may take at most %d.",
				members[k-1], above-lose, members[k], below-lose, above-2)
			return
		case reach(above+gain) == reach(below+gain):
			in.fail("points", "The points give more than there is room for", "With all trackers up, %s would have %d and %s %d. A priority ends at 254, so both have that, and %s never takes the address back. Lower the priorities, or write lose instead of gain.",
				members[k-1], above+gain, members[k], below+gain, members[k-1])
			return
		}
	}
}
