package config

import (
	"usher.internal/core/decide"
)

const (
	spill        = "spill"
	requireOwner = "require_owner"
)

// Decide gives the policy as core knows it.
func (p *Policy) Decide() decide.Policy {
	over := p.Cooldown.Overloaded
	return decide.Policy{
		Profile: p.Profile,
		Weights: decide.Weights(p.Weights),
		TopK:    p.TopK, Alpha: p.EWMAAlpha,
		SessionTTL: p.Session.TTL, ResponseTTL: p.Response.TTL,
		StickyWait:         decide.Wait(p.Wait.Sticky),
		FallbackWait:       decide.Wait(p.Wait.Fallback),
		ResponseTransports: transports(p.Response.Transports),
		Tenants:            p.Tenants.decide(),
		HalfLife:           p.HalfLife, TTFTPerModel: p.TTFTPerModel,
		MaxCooldown:      p.Cooldown.Max,
		Overloaded:       decide.Backoff{Base: over.Base, Cap: over.Cap, Jitter: over.Jitter},
		AuthFailedPauses: p.Cooldown.AuthFailedPauses, HalfOpen: p.Cooldown.HalfOpen,
		SessionSpill:         p.Session.WhenFull == spill,
		Escape:               decide.Escape(p.Session.Escape),
		ResponseRequireOwner: p.Response.WhenUnavailable == requireOwner,
	}
}

func (t *Tenants) decide() decide.Tenants {
	out := decide.Tenants{Default: decide.TenantLimit(t.Default)}
	if len(t.ByName) > 0 {
		out.ByName = make(map[string]decide.TenantLimit, len(t.ByName))
	}
	for name, limit := range t.ByName { // order-free: map to map
		out.ByName[name] = decide.TenantLimit(limit)
	}
	return out
}

// defaultsOf gives the policy of a file that names a profile and no more; Default's for one that is not known.
func defaultsOf(profile string) Policy {
	if profile == decide.ProfileReference {
		return policyOf(decide.Reference())
	}
	return policyOf(decide.Recommended())
}

// policyOf gives a profile as the file would say it. Profiles bound no tenant and leave out no transport.
func policyOf(p decide.Policy) Policy {
	full, unavailable := "wait", "fall_through"
	if p.SessionSpill {
		full = spill
	}
	if p.ResponseRequireOwner {
		unavailable = requireOwner
	}
	return Policy{
		Profile: p.Profile,
		Weights: Weights(p.Weights),
		TopK:    p.TopK, EWMAAlpha: p.Alpha,
		HalfLife: p.HalfLife, TTFTPerModel: p.TTFTPerModel,
		Session:  Session{TTL: p.SessionTTL, WhenFull: full, Escape: Escape(p.Escape)},
		Response: Response{TTL: p.ResponseTTL, WhenUnavailable: unavailable},
		Wait:     Waits{Sticky: StickyWait(p.StickyWait), Fallback: FallbackWait(p.FallbackWait)},
		Cooldown: Cooldown{
			Max: p.MaxCooldown, HalfOpen: p.HalfOpen, AuthFailedPauses: p.AuthFailedPauses,
			Overloaded: Overloaded{Base: p.Overloaded.Base, Cap: p.Overloaded.Cap, Jitter: p.Overloaded.Jitter},
		},
	}
}
