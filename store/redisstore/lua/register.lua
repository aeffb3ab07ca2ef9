-- Makes accounts known and sets their limits. Without the guard: it is how a caller learns the epoch.
--
-- ARGV[2]  the epoch that begins if the server knows none
-- ARGV[6..] id and limit for each account, 0 is unlimited
--
-- Answers the time, the epoch, then the place of each account. Idempotent. What is in use is never reset.
if loads == '' then
  -- What was counted is gone, and what it counted may not be: it is counted again.
  loads = ARGV[2] .. string.rep('000000' .. three(UNLISTED) .. '0', call('HLEN', P .. 'A'))
  call('SET', P .. 'L', loads)
  for _, id in ipairs(call('ZRANGE', P .. 'x', 0, -1)) do
    local s = find(id)
    if s then
      local l = read(s)
      count(l.i, 1, 0, has(l.flags, 'p') and 1 or 0)
    end
  end
  for _, s in ipairs(call('HVALS', P .. 'w')) do count(tonumber(string.match(s, '^(%-?%d+)')), 0, 1, 0) end
end
due(STEP)
local out = { int(now), string.sub(loads, 1, HEAD) }
for n = 6, #ARGV, 2 do
  local i, limit = named(ARGV[n]), math.min(tonumber(ARGV[n + 1]), UNLISTED - 1)
  local a = account(i)
  if a.limit ~= limit then
    if a.limit ~= UNLISTED and a.limit > 0 and (limit == 0 or limit > a.limit) then freed[i] = 'f' end
    a.limit = limit
    changed[i] = true
  end
  out[#out + 1] = i
end
done()
return out
