-- Lists what is pushed. ARGV[6] the revision that the caller knows.
-- Answers the time and the revision, and unless that is known the number of accounts, then id and value of each account and state. Idempotent.
local revision = call('GET', P .. 'ar') or '0'
local out = { int(now), revision }
done()
if revision == ARGV[6] then return out end
local accounts, states = call('HGETALL', P .. 'a'), call('HGETALL', P .. 'as')
out[3] = #accounts / 2
for _, s in ipairs(accounts) do out[#out + 1] = s end
for _, s in ipairs(states) do out[#out + 1] = s end
return out
