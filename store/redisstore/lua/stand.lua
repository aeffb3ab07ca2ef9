-- Put before join and rejoin: counts a waiter that is not counted.
local function stand(id, i, name)
  call('HSET', P .. 'w', id, int(i) .. ' ' .. replica .. ' ' .. name)
  waiters = nil
  count(i, 0, 1, 0)
  tenant('tw', name, 1)
  if call('HINCRBY', P .. 'wr', replica, 1) == 1 then call('ZADD', P .. 'T', int(now), replica) end
end
