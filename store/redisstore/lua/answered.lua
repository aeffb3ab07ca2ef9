-- Tells of request ids whether a take of them takes nothing. ARGV[6..] their keys.
-- Answers the time, then one text with a letter of each: a a lease of it lives, or it was released; u neither. Idempotent.
local told = {}
for n = 6, #ARGV do
  local id = call('HGET', P .. 'q', ARGV[n])
  told[#told + 1] = (id and lease(id) or released(ARGV[n])) and 'a' or 'u'
end
done()
return { int(now), table.concat(told) }
