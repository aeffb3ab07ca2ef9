-- Says that the caller's replica lives for ARGV[6] more. Answers the time, then the replicas that live. Idempotent.
call('ZADD', P .. 'r', int(now + tonumber(ARGV[6])), replica)
done()
local out = { int(now) }
for _, r in ipairs(call('ZRANGEBYSCORE', P .. 'r', '(' .. int(now), '+inf')) do out[#out + 1] = r end
return out
