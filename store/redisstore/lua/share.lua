-- Puts what the caller's replica has learned in the place of what it put before. ARGV[6] is that, "" takes it back; ARGV[7] its life
-- in microseconds. Answers the time, then what each other replica put whose life is not over. What is over goes. Idempotent.
local out, told = { int(now) }, {}
local all = call('HGETALL', P .. 'm') -- replica → what it put, !replica → until when: to cut one out of the other takes as long as all the rest
for n = 1, #all, 2 do told[all[n]] = all[n + 1] end
for name, ends in pairs(told) do
  local other = string.sub(name, 2)
  if string.byte(name) == 33 and other ~= replica then
    if tonumber(ends) > now then out[#out + 1] = told[other] else call('HDEL', P .. 'm', other, name) end
  end
end
if ARGV[6] == '' then
  call('HDEL', P .. 'm', replica, '!' .. replica)
else
  call('HSET', P .. 'm', replica, ARGV[6], '!' .. replica, after(ARGV[7]))
  call('PEXPIRE', P .. 'm', math.ceil(tonumber(ARGV[7]) / 1000))
end
done()
return out
