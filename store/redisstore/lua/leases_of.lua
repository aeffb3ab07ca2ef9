-- Lists the leases of ARGV[6], an owner's name. Answers the time, then id and record of each. Idempotent.
local out = { int(now) }
for _, id in ipairs(call('SMEMBERS', P .. 'o:' .. ARGV[6])) do
  local s = find(id)
  if s then
    out[#out + 1] = id
    out[#out + 1] = s
  end
end
done()
return out
