-- Looks for leases that the caller's replica looks after, one step through all. ARGV[6] where the step begins, 0 at first.
-- Answers the time, where the next begins, 0 after the last, and how many. Idempotent.
local step, n = call('ZSCAN', P .. 'x', ARGV[6], 'COUNT', STEP), 0
for k = 1, #step[2], 2 do
  local id = step[2][k]
  local s = string.byte(id) ~= 33 and lease(id)
  if s and read(s).keeper == replica then n = n + 1 end
end
done()
return { int(now), step[1], n }
