-- Ends what is over and what dead replicas looked after, a few steps, and tells of leases that ended by themselves.
--
-- ARGV[6]  how many it tells of at most
--
-- Answers the time, 1 when there is more, when the next lease or waiter ends (0 for none), then id and record of each lease, joined by a space. Idempotent.
local most = tonumber(ARGV[6])
local more = #call('ZRANGEBYSCORE', P .. 'x', '-inf', int(now), 'LIMIT', 0, 1)

local dead = {}
for _, r in ipairs(call('ZRANGEBYSCORE', P .. 'r', '-inf', int(now))) do dead[r] = true end
if next(dead) then
  -- From one end of the leases to the other: who died on the way may have leases that were passed already.
  local round = call('HGETALL', P .. 'dying')
  if #round == 0 then
    for r, _ in pairs(dead) do call('HSET', P .. 'dying', r, 1) end
    round = call('HGETALL', P .. 'dying')
  end
  local step = call('ZSCAN', P .. 'x', call('GET', P .. 'cursor') or '0', 'COUNT', STEP)
  for n = 1, #step[2], 2 do
    local id = step[2][n]
    local s = string.byte(id) ~= 33 and find(id)
    if s then
      local l = read(s)
      if dead[l.keeper] then expire(id, s, l, 1) end
    end
  end
  if step[1] == '0' then
    for n = 1, #round, 2 do
      if dead[round[n]] then call('ZREM', P .. 'r', round[n]) end
    end
    call('DEL', P .. 'cursor', P .. 'dying')
    more = call('ZCOUNT', P .. 'r', '-inf', int(now))
  else
    call('SET', P .. 'cursor', step[1])
    more = 1
  end
end

local all = call('HGETALL', P .. 'c')
for n = 1, #all, 2 do
  if tonumber(string.match(all[n + 1], '^(%d+)')) <= now then call('HDEL', P .. 'c', all[n]) end
end

local first = call('ZRANGE', P .. 'x', 0, 0, 'WITHSCORES')
local out = { int(now), more, first[2] and int(tonumber(first[2])) or '0' }
for _, s in ipairs(call('LRANGE', P .. 'e', 0, most - 1)) do out[#out + 1] = s end
if #out > 3 then call('LTRIM', P .. 'e', #out - 3, -1) end
if call('LLEN', P .. 'e') > 0 then out[2] = 1 end
done()
return out
