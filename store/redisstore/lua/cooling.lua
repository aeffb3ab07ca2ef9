-- Lists some deadlines, from cursor ARGV[6] on, about ARGV[7] of them. Answers the time and the next cursor, 0 at the end, then
-- field and value of each, those that stand no more too; one may be listed twice. Idempotent.
local step = call('HSCAN', P .. 'c', ARGV[6], 'COUNT', ARGV[7])
local out = { int(now), step[1] }
for _, s in ipairs(step[2]) do out[#out + 1] = s end
done()
return out
