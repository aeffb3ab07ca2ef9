-- Gives leases a whole new life. After lives.lua.
--
-- ARGV[6..] lease id, granted at, life (0 its own), greatest age (0 none), for each
--
-- Answers the time, then status (a lives, r released, x expired, u unknown), end and how it ended of each. Idempotent.
local out = { int(now) }
for n = 6, #ARGV, 4 do
  local id, granted = ARGV[n], tonumber(ARGV[n + 1])
  local s, flags, cause = lease(id)
  local status, ends, why
  if s then
    status, ends, why = prolong(id, s, read(s), tonumber(ARGV[n + 2]), tonumber(ARGV[n + 3]))
  else
    status, ends, why = told(flags, cause)
    if not status then
      local age = now - granted
      status = (granted > 0 and age < markTTL and age >= -60000000) and 'x' or 'u'
      ends, why = 0, 0
    end
  end
  local k = #out
  out[k + 1], out[k + 2], out[k + 3] = status, int(ends), why
end
done()
return out
