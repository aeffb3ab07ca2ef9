-- Undoes takes and joins whose answers did not come, and that are carried out no more; a leave that may have been lost undoes its join.
--
-- ARGV[6..] lease ids, and waiter ids with ! before
--
-- Answers the time. Idempotent by id. A take that runs later nevertheless finds a mark.
for n = 6, #ARGV do
  local id = ARGV[n]
  if string.sub(id, 1, 1) == '!' then
    leave(string.sub(id, 2))
  else
    local s, marked = lease(id)
    if s then
      local l = read(s)
      -- It may have been handed out to others since, by its request id.
      if not has(l.flags, 'b') then
        l.handed, l.flags = l.handed - 1, l.flags .. 'b'
        if l.handed <= 0 then finish(id, l, 'w', 0) else write(id, l) end
      end
    elseif not marked then
      call('PSETEX', P .. 'l:' .. id, markLife, '!-w 0 --- ' .. markEnds)
    end
  end
end
done()
return { int(now) }
