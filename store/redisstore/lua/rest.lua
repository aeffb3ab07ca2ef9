-- After the prelude of every script but ops.
local r = rare()
local named, tenant, held, leases, read, brief, write = r.named, r.tenant, r.held, r.leases, r.read, r.brief, r.write
local enter, finish, leave, expire, cool, released = r.enter, r.finish, r.leave, r.expire, r.cool, r.released
