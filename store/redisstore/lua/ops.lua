-- Carries out what several callers ask for at one instant, in order. After takes.lua and settle.lua.
--
-- ARGV[6] l when somebody wants the loads or -, then the earliest time after which a take is late, in 16 digits
-- ARGV[7..] for each: F take first, B take bound or S settle, and its arguments; before takes J, then the fate of places beyond
-- and those of places, and G, then the lives of leases, and of bindings of sessions and of responses, for those that follow
--
-- Answers the time, the loads or "", then the answer of each. Idempotent as each of them is.
local out, n, at, last = { nowText, '' }, 2, 7, #ARGV
local wanted = byte(ARGV[6]) == 108
local late = untimely or sub(ARGV[6], 2) < nowText -- that a take may be
while at <= last do
  local head = ARGV[at]
  local letter = byte(head)
  if letter == 83 then
    n = n + 1
    out[n], at = settle(at, head)
  elseif letter == 74 then
    others, fates = sub(head, 2, 2), sub(head, 3)
    at = at + 1
  elseif letter == 71 then
    lasting(match(head, '^G(%d+) (%d+) (%d+)$'))
    at = at + 1
  else
    at = beginTake(at, head)
    local answer
    if late and (untimely or sub(head, 2, 17) < nowText) then
      answer = 'l'
    elseif letter == 70 then
      answer = takeFirst()
    else
      answer = takeBound()
    end
    -- Who was not served decides by the loads.
    local status = byte(answer)
    wanted = wanted or always or status == 110 or status == 102
    n = n + 1
    out[n] = answer
  end
end
if wanted then out[2] = view() end
done()
return out
