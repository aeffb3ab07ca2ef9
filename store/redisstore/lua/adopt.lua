-- Takes leases up that are not known, whether or not there is room, and renews those that are. After lives.lua.
--
-- ARGV[6..] 9 for each: lease id, account, granted at, life, greatest age (0 none), tenant, owner, incarnation, the rest of the record
--
-- Answers the time, then status (a lives, r released, x expired, u unknown), end, how it ended, 1 when it was taken up,
-- 1 when that went over the limit, of each. Idempotent by lease id.
local out = { int(now) }
for n = 6, #ARGV, 9 do
  local id, granted, ttl, maxAge = ARGV[n], tonumber(ARGV[n + 2]), tonumber(ARGV[n + 3]), tonumber(ARGV[n + 4])
  local s, flags, cause = lease(id)
  local status, ends, why
  local taken, over = 0, 0
  if s then
    local l = read(s)
    if l.owner == '' and ARGV[n + 6] ~= '' then
      l.owner, l.incarnation = ARGV[n + 6], ARGV[n + 7]
      call('SADD', P .. 'o:' .. l.owner, id)
    end
    status, ends, why = prolong(id, s, l, 0, maxAge)
  else
    -- A mark without a cause was left by an event of a lease that was not known; unless that was its end, it may live.
    local open = flags and has(flags, 'x') and not has(flags, 'd') and not has(flags, 'w') and tonumber(cause) == 0
    if not open then status, ends, why = told(flags, cause) end
    if not status then
      ends, why = bounded(granted, now + ttl, maxAge), 0
      if granted > now + 60000000 then
        status, ends = 'u', 0
      elseif ends <= now then
        status, ends, why = 'x', 0, MAXAGE
      else
        local i = named(ARGV[n + 1])
        local a = account(i)
        status, taken = 'a', 1
        over = (a.limit ~= UNLISTED and a.limit > 0 and a.use >= a.limit) and 1 or 0
        local l = {
          i = i, at = placed(i), layer = '0', granted = time(granted), expires = time(ends), handed = 1, flags = open and string.gsub(flags, 'x', '') or '-', keeper = replica, ttl = ttl,
          request = '-', tenant = ARGV[n + 5], owner = ARGV[n + 6], incarnation = ARGV[n + 7], rest = ARGV[n + 8],
        }
        write(id, l)
        if call('ZADD', P .. 'x', l.expires, id) == 1 then enter(id, i, l.flags, '-', l.tenant, l.owner) end -- or its record alone was lost
      end
    end
  end
  local k = #out
  out[k + 1], out[k + 2], out[k + 3], out[k + 4], out[k + 5] = status, int(ends), why, taken, over
end
done()
return out
