-- Changes what is pushed. ARGV[6] a for accounts or as for states, ARGV[7] account, ARGV[8] what is set, "" removes.
-- Answers the time and the revision, which stays when nothing was there to remove. Idempotent.
local was = true
if ARGV[8] == '' then
  was = call('HDEL', P .. ARGV[6], ARGV[7]) > 0
else
  call('HSET', P .. ARGV[6], ARGV[7], ARGV[8])
end
if was then
  call('INCR', P .. 'ar')
  signals['d' .. ARGV[7]] = true
end
done()
return { int(now), call('GET', P .. 'ar') or '0' }
