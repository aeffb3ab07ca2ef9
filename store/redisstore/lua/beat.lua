-- Says that the caller's replica lives for ARGV[6] more, and knows its last registration by ARGV[7].
-- Answers the time, 1 unless that registration is lost, 1 unless the key that tokens are signed with is, how many waiters of the
-- replica are counted, then the replicas that live.
-- Idempotent.

-- whole tells that no key was lost of those that others are counted by: then the counts agree with what there is.
local function whole()
  local all, use, wait, n = view(), 0, 0, 0
  for from = HEAD + 1, #all, WIDTH do
    local u1, u2, u3, w1, w2, w3 = byte(all, from, from + 5)
    local u = (u1 - 48) * 4096 + (u2 - 48) * 64 + u3 - 48
    if u == UNLISTED then return true end -- it is counted no further than that
    use, wait, n = use + u, wait + (w1 - 48) * 4096 + (w2 - 48) * 64 + w3 - 48, n + 1
  end
  local waiting, ofReplicas = call('HLEN', P .. 'w'), 0
  for _, v in ipairs(call('HVALS', P .. 'wr')) do ofReplicas = ofReplicas + v end
  return call('HLEN', P .. 'A') == n and call('HLEN', P .. 'N') == n and ofReplicas == waiting and wait <= waiting and
    call('ZCARD', P .. 'x') - waiting == use
end

call('ZADD', P .. 'r', int(now + tonumber(ARGV[6])), replica)
call('HDEL', P .. 'dying', replica)
if not whole() then
  -- As after a loss of all memory: who is told makes accounts known, by which all is counted anew, and what it looks after.
  call('DEL', P .. 'L')
  return { 'epoch', '', 'lost' }
end
done()
local out = {
  int(now), call('HGET', P .. 'g', replica) == ARGV[7] and 1 or 0, call('GET', P .. 'K') and 1 or 0,
  tonumber(call('HGET', P .. 'wr', replica)) or 0,
}
for _, r in ipairs(call('ZRANGEBYSCORE', P .. 'r', '(' .. int(now), '+inf')) do out[#out + 1] = r end
return out
