-- Lists accounts. Answers the time, then place and id of each. Idempotent.
local out = { int(now) }
local all = call('HGETALL', P .. 'N')
for n = 1, #all do out[n + 1] = all[n] end
done()
return out
