-- Carries out what several callers ask for at one instant, in order. After takes.lua and settle.lua.
--
-- ARGV[6] l when somebody wants the loads  ARGV[7..] for each: F take first, B take bound or S settle, and its arguments
--
-- Answers the time, the loads or "", then the answer of each. Idempotent as each of them is.
local out, at = { int(now), '' }, 7
while at <= #ARGV do
  local kind = ARGV[at]
  if kind == 'S' then
    out[#out + 1] = settle(at + 1)
    at = at + 13
  elseif kind == 'F' then
    out[#out + 1] = takeFirst(at + 1)
    at = at + 15
  else
    out[#out + 1] = takeBound(at + 1)
    at = at + 18
  end
end
if ARGV[6] == 'l' then out[2] = view() end
done()
return out
