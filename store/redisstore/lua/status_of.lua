-- Tells of leases whether they live. ARGV[6..] their ids.
-- Answers the time, then one text with a letter of each: a it lives, r it ended, u nothing is known. Idempotent.
local told = {}
for n = 6, #ARGV do
  local s, flags, why = lease(ARGV[n])
  -- A mark without a cause was left by an event of a lease that was not known; unless that was its end, it may live.
  local open = flags and has(flags, 'x') and not has(flags, 'd') and not has(flags, 'w') and tonumber(why) == 0
  told[#told + 1] = s and 'a' or flags and not open and 'r' or 'u'
end
done()
return { int(now), table.concat(told) }
