-- Lists deadlines. Answers the time, then field and value of each, those that are over too. Idempotent.
local out = { int(now) }
for _, s in ipairs(call('HGETALL', P .. 'c')) do out[#out + 1] = s end
done()
return out
