-- Ends leases as an expiry would, but no sweep tells of them. ARGV[6] how, ARGV[7] 1 when only those that
-- the caller's replica looks after, ARGV[8..] lease ids.
-- Answers the time, then id and record of each that it ended. Idempotent.
local out = { int(now) }
local kept = ARGV[7] == '1'
for n = 8, #ARGV do
  local id = ARGV[n]
  local s = lease(id)
  if s and (not kept or read(s).keeper == replica) then
    finish(id, brief(s), 'x', ARGV[6])
    out[#out + 1] = id
    out[#out + 1] = s
  end
end
done()
return out
