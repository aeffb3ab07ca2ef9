-- Counts what ARGV[6], a tenant, has, and all. Answers the time, the tenant's leases and waiters, all leases and waiters. Idempotent.
local out = { int(now), held('l', 't', ARGV[6]), held('w', 'tw', ARGV[6]), call('HLEN', P .. 'l'), call('HLEN', P .. 'w') }
done()
return out
