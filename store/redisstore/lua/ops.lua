-- Carries out what several callers ask for at one instant, in order. After takes.lua and settle.lua.
--
-- ARGV[6] l when somebody wants the loads  ARGV[7..] for each: F take first, B take bound or S settle, and its arguments; before
-- takes J, fates and the one for places beyond, and G, the lives of leases, and of bindings of sessions and of responses, for
-- those that follow
--
-- Answers the time, the loads or "", then the answer of each. Idempotent as each of them is.
local out, n, at, last = { nowText, '' }, 2, 7, #ARGV
local wanted = ARGV[6] == 'l'
while at <= last do
  local letter = byte(ARGV[at])
  if letter == 83 then
    n = n + 1
    out[n], at = settle(at)
  elseif letter == 74 then
    fates, others = ARGV[at + 1], ARGV[at + 2]
    at = at + 3
  elseif letter == 71 then
    leaseLife, sessionLife, responseLife = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    at = at + 4
  else
    local first, all, late = letter == 70, byte(ARGV[at], 27) ~= 45
    at, late = beginTake(at)
    local answer = late and 'l' or first and takeFirst() or takeBound()
    -- Who was not served decides by the loads.
    local status = byte(answer)
    wanted = wanted or all or status == 110 or status == 102
    n = n + 1
    out[n] = answer
  end
end
if wanted then out[2] = view() end
done()
return out
