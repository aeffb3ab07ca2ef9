-- Removes the deadline of account ARGV[6], model ARGV[7], unless it is later than ARGV[8]. Answers the time. Idempotent.
local field = #ARGV[6] .. ':' .. ARGV[6] .. ARGV[7]
local s = call('HGET', P .. 'c', field)
if s and tonumber(string.match(s, '^(%d+)')) <= tonumber(ARGV[8]) then
  call('HDEL', P .. 'c', field)
  if tonumber(string.match(s, '(%d+)$')) > now then signals['c' .. ARGV[6]] = true end
end
done()
return { int(now) }
