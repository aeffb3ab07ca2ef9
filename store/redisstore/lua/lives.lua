-- Put before renew and adopt: gives a lease a whole life, and makes the caller's replica, or keeper, the one that looks after it.
-- ttl 0 is the life that it was given last; and till, if given, its end instead. Answers status (a lives, x ended), its end, and how it ended.
local MAXAGE = 5
local function bounded(granted, ends, maxAge)
  if maxAge > 0 then return math.min(ends, granted + maxAge) end
  return ends
end

local function prolong(id, s, l, ttl, maxAge, till, keeper)
  if ttl == 0 then ttl = l.ttl end
  local ends = bounded(tonumber(l.granted), till or now + ttl, maxAge)
  if maxAge > 0 and ends <= now then
    expire(id, s, l, MAXAGE)
    return 'x', 0, MAXAGE
  end
  l.ttl, l.expires, l.keeper = ttl, time(ends), keeper or replica
  write(id, l)
  if call('ZADD', P .. 'x', l.expires, id) == 1 then enter(id, l.i, l.flags, l.request, l.tenant, l.owner) end -- its end was lost
  return 'a', ends, 0
end

-- told says what a mark tells of a lease; nil without one.
local function told(flags, why)
  if not flags then return nil end
  if has(flags, 'x') then return 'x', 0, tonumber(why) end
  return 'r', 0, 0
end
