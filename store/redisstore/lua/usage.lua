-- Counts what ARGV[6], a tenant, has, and all. Answers the time, the tenant's leases and waiters, all leases and waiters. Idempotent.
local out = { int(now), held(leases(), 't', ARGV[6]), held(call('HLEN', P .. 'w'), 'tw', ARGV[6]), leases(), call('HLEN', P .. 'w') }
done()
return out
