-- Takes down that the caller's replica has heard of an owner: ARGV[6] its name, ARGV[7] its incarnation, ARGV[8] the age of the stream,
-- ARGV[9] for how long that stands, 0 to ask only.
--
-- Kept is when the youngest stream began, until when it stands and which replica has it; then until when who heard of the owner last,
-- on whatever stream, stands, and which replica that is; 16 each. It ends by itself.
--
-- Answers the time, and 1 when another replica has a younger stream, or, where that is asked, was the last to hear of it. Idempotent.
local key, age, life = P .. 'h:' .. #ARGV[6] .. ':' .. ARGV[6] .. ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local s = call('GET', key) or ''
local stream, heard, last = sub(s, 1, 48), sub(s, 49, 64), sub(s, 65)
local elsewhere = heard > nowText and last ~= replica
if life > 0 then
  local began, ends = time(math.max(now - age, 0)), time(now + life)
  elsewhere = sub(s, 1, 16) > began and sub(s, 17, 32) > nowText and sub(s, 33, 48) ~= replica
  if not elsewhere then stream = began .. ends .. replica end
  call('PSETEX', key, int(math.ceil(life / 1000)), stream .. ends .. replica)
end
done()
return { int(now), elsewhere and 1 or 0 }
