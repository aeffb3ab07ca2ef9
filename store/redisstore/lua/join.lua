-- Counts a waiter on an account, unless a cap is met. One that waits stays where it is, with a whole new life. After stand.lua.
--
-- ARGV[6] waiter id  ARGV[7] account, blank for none  ARGV[8] tenant  ARGV[9] life  ARGV[10] cap of the account  ARGV[11] cap of the tenant, 0 none
--
-- Answers the time, joined or account or tenant for the cap that was met, and who waits for the account. Idempotent by waiter id.
local id, name, cap, tenantCap = ARGV[6], ARGV[8], tonumber(ARGV[10]), tonumber(ARGV[11])
local s = call('HGET', P .. 'w', id)
local i = -1
if s then i = tonumber(string.match(s, '^(%-?%d+)')) elseif ARGV[7] ~= '' then i = named(ARGV[7]) end
local a = account(i)
local status = 'joined'
if not s then
  if cap > 0 and a and a.wait >= cap then
    status = 'account'
  elseif tenantCap > 0 and held(call('HLEN', P .. 'w'), 'tw', name) >= tenantCap then
    status = 'tenant'
  else
    stand(id, i, name)
  end
end
if status == 'joined' then call('ZADD', P .. 'x', int(now + tonumber(ARGV[9])), '!' .. id) end
done()
return { int(now), status, a and a.wait or 0 }
