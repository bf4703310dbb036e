package congestion

// Reason says why the rate is what it is: the state the controller is in. It travels to the encoder.
type Reason uint8

const (
	Startup Reason = iota // looking for the capacity
	Track                 // following it
	Hold                  // after a loss that was ours: growing slowly
	Probe                 // a cut of 20 %, to see whose loss it is
	Compete               // beside a flow that fills the queue
	Outage                // no feedback
	Limited               // the configured maximum is reached
)

var reasonNames = [...]string{"startup", "track", "hold", "probe", "compete", "outage", "limited"}

func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}
