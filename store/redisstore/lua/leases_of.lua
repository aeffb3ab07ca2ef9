-- Lists some of the leases of ARGV[6], an owner's name, from cursor ARGV[7] on, about ARGV[8] of them.
-- Answers the time and the next cursor, 0 at the end, then id and record of each; one may be listed twice. Idempotent.
local step = call('SSCAN', P .. 'o:' .. ARGV[6], ARGV[7], 'COUNT', ARGV[8])
local out = { int(now), step[1] }
for _, id in ipairs(step[2]) do
  local s = lease(id)
  if s then
    out[#out + 1] = id
    out[#out + 1] = s
  end
end
done()
return out
