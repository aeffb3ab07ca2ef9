-- Counts those again who wait at the caller's replica, whatever the caps are: it was taken for dead, or the memory was lost.
-- Who is counted stays where it is. After stand.lua.
--
-- ARGV[6..] waiter id, account, blank for none, tenant and what is left of its life, for each
--
-- Answers the time. Idempotent by waiter id.
for n = 6, #ARGV, 4 do
  local id = ARGV[n]
  if not call('HGET', P .. 'w', id) then stand(id, ARGV[n + 1] ~= '' and named(ARGV[n + 1]) or -1, ARGV[n + 2]) end
  call('ZADD', P .. 'x', int(now + tonumber(ARGV[n + 3])), '!' .. id)
end
done()
return { int(now) }
