-- Ends what is over and what dead replicas looked after, their waiters too, a few steps, and tells of leases that ended by themselves.
--
-- ARGV[6]  how many it tells of at most
-- ARGV[7]  1 when replicas without a heartbeat are dead: they have been able to beat for long enough
--
-- Answers the time, 1 when there is more, when the next lease or waiter ends (0 for none), then id and record of each lease, joined by a space. Idempotent.
local most, more = tonumber(ARGV[6]), 0
local dead = {}
if ARGV[7] == '1' then
  for _, r in ipairs(call('ZRANGEBYSCORE', P .. 'r', '-inf', int(now))) do dead[r] = true end
end
if next(dead) then
  -- From one end of leases and waiters to the other, until that finds nothing: who died on the way, or came back, may have some that
  -- were passed already.
  local cursor = call('HGET', P .. 'at', 'x')
  if not cursor then
    for r, _ in pairs(dead) do call('HSET', P .. 'dying', r, 1) end
  end
  local step = call('ZSCAN', P .. 'x', cursor or '0', 'COUNT', STEP)
  for n = 1, #step[2], 2 do
    local id = step[2][n]
    if string.byte(id) == 33 then
      id = string.sub(id, 2)
      local s = call('HGET', P .. 'w', id)
      if s and dead[string.match(s, '^%S+ (%S+)')] then
        leave(id)
        call('HSET', P .. 'at', 'found', 1)
      end
    else
      local s = lease(id)
      local l = s and read(s)
      if l and dead[l.keeper] then
        expire(id, s, l, 1)
        call('HSET', P .. 'at', 'found', 1)
      end
    end
  end
  call('HSET', P .. 'at', 'x', step[1])
  more = 1
  if step[1] == '0' then
    if not call('HGET', P .. 'at', 'found') then
      for _, r in ipairs(call('HKEYS', P .. 'dying')) do
        if dead[r] then
          call('ZREM', P .. 'r', r)
          call('HDEL', P .. 'g', r)
        end
      end
      if call('ZCOUNT', P .. 'r', '-inf', int(now)) == 0 then more = 0 end
    end
    call('DEL', P .. 'dying')
    call('HDEL', P .. 'at', 'x', 'found')
  end
end

local some = call('HSCAN', P .. 'c', call('HGET', P .. 'at', 'c') or '0', 'COUNT', STEP)
for n = 1, #some[2], 2 do
  if tonumber(string.match(some[2][n + 1], '(%d+)$')) <= now then call('HDEL', P .. 'c', some[2][n]) end
end
if some[1] == '0' then call('HDEL', P .. 'at', 'c') else call('HSET', P .. 'at', 'c', some[1]) end

local first = call('ZRANGE', P .. 'x', 0, 0, 'WITHSCORES')
local out = { int(now), more, first[2] and int(tonumber(first[2])) or '0' }
for _, s in ipairs(call('LRANGE', P .. 'e', 0, most - 1)) do out[#out + 1] = s end
if #out > 3 then call('LTRIM', P .. 'e', #out - 3, -1) end
if call('LLEN', P .. 'e') > 0 or #call('ZRANGEBYSCORE', P .. 'x', '-inf', int(now), 'LIMIT', 0, 1) > 0 then out[2] = 1 end
done()
return out
