-- Counts waiter ARGV[6] on account ARGV[7]; one that is not known is left alone. Answers the time. Idempotent.
local s = call('HGET', P .. 'w', ARGV[6])
if s then
  local i, rest = string.match(s, '^(%-?%d+)( .*)$')
  local to = named(ARGV[7])
  count(tonumber(i), 0, -1, 0)
  count(to, 0, 1, 0)
  call('HSET', P .. 'w', ARGV[6], int(to) .. rest)
end
done()
return { int(now) }
