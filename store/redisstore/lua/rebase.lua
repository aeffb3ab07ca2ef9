-- Lets the namespace's clock go on from ARGV[6], where the caller thinks it is, if the server's has jumped. Without the guard.
--
-- ARGV[7]  the life of a replica without a heartbeat
--
-- Whether it was the server's clock that jumped or the caller's is told by the newest heartbeat, which was not written long ago,
-- nor in the future, on a clock that is right. Answers the time. Idempotent.
local expected, life = tonumber(ARGV[6]), tonumber(ARGV[7])
local newest = call('ZRANGE', P .. 'r', -1, -1, 'WITHSCORES')
if loads ~= '' and newest[2] and math.abs(now - expected) > APART then
  local beat = tonumber(newest[2]) - life
  local steady = beat <= now + APART and now < beat + life / 2
  if not steady and beat <= expected + APART then
    added = added + expected - now
    now = expected
    call('SETRANGE', P .. 'L', EPOCH, string.format('%016.0f', added))
  end
end
return { int(now) }
