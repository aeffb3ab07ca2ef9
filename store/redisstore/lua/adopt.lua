-- Takes leases up that are not known, whether or not there is room, and renews those that are, unless there is some of their life left. After lives.lua.
--
-- ARGV[6..] 12 for each: lease id, account, granted at, life, greatest age (0 none), what is left of its life (0 a whole one) and until
--           when that is as the caller knows, tenant, owner, incarnation, the rest of the record,
--           1 when one that lives stays with the replica that looks after it
--
-- Answers the time, then status (a lives, r released, x expired, u unknown), end, how it ended, 1 when it was taken up,
-- 1 when that went over the limit, of each. Idempotent by lease id.
local out = { int(now) }
for n = 6, #ARGV, 12 do
  local id, granted, ttl, maxAge, left = ARGV[n], tonumber(ARGV[n + 2]), tonumber(ARGV[n + 3]), tonumber(ARGV[n + 4]), tonumber(ARGV[n + 5])
  local s, flags, cause = lease(id)
  local status, ends, why
  local taken, over = 0, 0
  if s then
    local l = read(s)
    if l.owner == '' and ARGV[n + 8] ~= '' then
      l.owner, l.incarnation = ARGV[n + 8], ARGV[n + 9]
      call('SADD', P .. 'o:' .. l.owner, id)
    end
    status, ends, why = prolong(id, s, l, 0, maxAge, left > 0 and math.max(tonumber(l.expires), tonumber(ARGV[n + 6])),
      ARGV[n + 11] == '1' and l.keeper)
  else
    -- A mark without a cause was left by an event of a lease that was not known; unless that was its end, it may live.
    local open = flags and has(flags, 'x') and not has(flags, 'd') and not has(flags, 'w') and tonumber(cause) == 0
    if not open then status, ends, why = told(flags, cause) end
    if not status then
      ends, why = bounded(granted, now + (left > 0 and left or ttl), maxAge), 0
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
          request = '-', tenant = ARGV[n + 7], owner = ARGV[n + 8], incarnation = ARGV[n + 9], rest = ARGV[n + 10],
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
