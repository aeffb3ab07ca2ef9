package core

// sampleOf gives what an outcome teaches about the account: who pays for it.
func sampleOf(o Outcome) sample {
	switch o {
	case OutcomeSuccess:
		return sample{outcome: true}
	case OutcomeAccountError, OutcomeUpstreamTimeout:
		return sample{outcome: true, failed: true}
	case OutcomeClientError, OutcomeCancelled, OutcomeCallerTimeout:
		// The account did nothing wrong, and nothing right.
	}
	return sample{}
}
