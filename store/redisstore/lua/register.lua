-- Makes accounts known and sets their limits. Without the guard: it is how a caller learns the epoch. After recount.lua.
--
-- ARGV[2]  the epoch that begins if the server knows none
-- ARGV[6]  where the caller thinks the clock is, 0 when it does not know; a new memory goes on from there
-- ARGV[7]  the life of the replica without a heartbeat, and ARGV[8] by what its heartbeats tell that this was not lost
-- ARGV[9]  the epoch that must not have changed meanwhile, or ""
-- ARGV[10] the life of the memory that was told the limits before and is not told them again: another replica may have told
--          others since. Or "", to tell them
-- ARGV[11] the longest life that the caller gives to a binding
-- ARGV[12..] id and limit for each account, 0 is unlimited, - is none to tell: the caller lists it no more
--
-- Answers the time, the epoch, then the place of each account, -1 for one without. Idempotent. What is in use is never reset.
if ARGV[9] ~= '' and string.sub(loads, 1, EPOCH) ~= ARGV[9] then return { 'epoch', string.sub(loads, 1, EPOCH) } end
if loads == '' then
  -- What was counted is gone, and what it counted may not be: it is counted again.
  local expected = tonumber(ARGV[6])
  if expected > 0 and math.abs(expected - now) > APART then
    added, now = added + expected - now, expected
    nowText = time(now)
  end
  local n = places()
  loads = string.sub(ARGV[2], 1, EPOCH) .. string.format('%016.0f', added) .. string.rep('000000' .. three(UNLISTED) .. '0', n)
  chain = string.sub(loads, EPOCH - 7, EPOCH)
  call('SET', P .. 'L', loads)
  recount(n)
end
if not untimely then due(STEP) end
call('ZADD', P .. 'r', int(now + tonumber(ARGV[7])), replica)
local told = string.sub(loads, 1, #ARGV[10]) == ARGV[10] and ARGV[10] ~= ''
if not told then call('HSET', P .. 'g', replica, ARGV[8]) end
if tonumber(ARGV[11]) > (tonumber(call('HGET', P .. 'at', 'longest')) or 0) then call('HSET', P .. 'at', 'longest', ARGV[11]) end
local out = { int(now), '' }
for n = 12, #ARGV, 2 do
  local i, new
  if ARGV[n + 1] == '-' then
    i = tonumber(call('HGET', P .. 'A', ARGV[n])) or -1
  else
    i, new = named(ARGV[n], true)
    call('ZADD', P .. 'k', nowText, i)
    local a, limit = account(i), tonumber(ARGV[n + 1])
    if a.limit ~= limit and (new or not told) then
      if a.limit ~= UNLISTED and a.limit > 0 and (limit == 0 or limit > a.limit) then freed[i] = 'f' end
      a.limit = limit
      changed[i] = ALL
    end
  end
  out[#out + 1] = i
end
done()
out[2] = string.sub(loads, 1, EPOCH - 8) .. chain
return out
