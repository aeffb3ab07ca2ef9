-- Says that the caller's replica lives for ARGV[6] more, and knows its last registration by ARGV[7].
-- Answers the time, 1 unless that registration is lost, then the replicas that live. Idempotent.
call('ZADD', P .. 'r', int(now + tonumber(ARGV[6])), replica)
call('HDEL', P .. 'dying', replica)
done()
local out = { int(now), call('HGET', P .. 'g', replica) == ARGV[7] and 1 or 0 }
for _, r in ipairs(call('ZRANGEBYSCORE', P .. 'r', '(' .. int(now), '+inf')) do out[#out + 1] = r end
return out
