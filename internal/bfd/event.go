package bfd

// An Event is something that happened to a Session.
type Event interface{ event() }

type (
	// Start brings the session up as far as its peer lets it, from AdminDown.
	Start struct{}
	// Stop takes the session to AdminDown, where it only tells its peer so.
	Stop struct{}
	// Received is a packet that Parse accepted and that belongs to this session.
	Received struct{ *Packet }
	// TimerFired says that Deadline has passed, and that every packet from before it was read.
	TimerFired struct{}
	// Reconfigured changes what the operator chose, in place.
	Reconfigured struct{ Config Config }
	// Woke says that nobody could receive for a good part of the detection time: what was
	// heard last counts as heard now.
	Woke struct{}
)

func (Start) event()        {}
func (Stop) event()         {}
func (Received) event()     {}
func (TimerFired) event()   {}
func (Reconfigured) event() {}
func (Woke) event()         {}

// A Verb says what an Action does.
type Verb uint8

// What a Session can ask for.
const (
	// Transmit sends Packet.
	Transmit Verb = iota + 1
	// Move reports a change of the state.
	Move
)

// An Action is something that the caller must do for a Session, in order.
type Action struct {
	Do       Verb
	Packet   Packet     // Transmit
	From, To State      // Move
	Why      Diagnostic // Move
}
