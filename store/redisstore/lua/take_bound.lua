-- Takes the account that the response or the session is bound to. After seen.lua.
--
-- ARGV[9]  the lease's life      ARGV[10] the tenant's cap, 0 is none
-- ARGV[11] fates: a character for each place, 48 + response + 4*session + 16*substitute, 0 keep, 1 drop, 2 take, 3 probe
-- ARGV[12] the character for a place beyond
-- ARGV[13] response key or ""    ARGV[14] its life
-- ARGV[15] session key or ""     ARGV[16] its life
-- ARGV[17] options: d dry run, l loads always, s spill a full session, r ask no other layer after a response binding
-- ARGV[18..21] tenant, owner, incarnation, what else the record keeps
--
-- Answers: time, status, layer (1 response, 2 session), place or record, what was found of the response's binding, of the
-- session's, of the substitute, loads or "". Statuses: took, full, none, tenant, again, repeated, released, late.
-- What was found: "" or place, fate and f when full, as "12 2f". In again, repeated and released: time, status, record, id, loads or "".
-- Idempotent by request key and by lease id. An unfit binding has no effect but the fate that it was given.
local options = ARGV[17]
local dry = has(options, 'd')
local known = seen(not dry)
if known then
  known[3], known[4] = known[3] or '', known[4] or ''
  known[5] = (known[2] ~= 'again' or has(options, 'l')) and view() or ''
  done()
  return known
end
if capped(ARGV[18], tonumber(ARGV[10])) then
  local all = view()
  done()
  return { int(now), 'tenant', 0, 0, '', '', '', all }
end
local KEEP, DROP, TAKE, PROBE = 0, 1, 2, 3
local status, layer, place = 'none', 0, 0
local response, session, substitute = '', '', ''
local asProbe

local function fate(i, shift)
  local c = (string.byte(ARGV[11], i + 1) or string.byte(ARGV[12])) - 48
  local f, a = math.floor(c / shift) % 4, account(i)
  asProbe = f == PROBE
  if f >= TAKE and (not a or a.limit == UNLISTED) then return KEEP end
  if asProbe then return a.probes > 0 and KEEP or TAKE end
  return f
end

local function take(on, i)
  status, layer, place = 'took', on, i
  if not dry then grant(i, 0, asProbe and 'p' or '-', on, 18) end
end

local function full(on, i) status, layer, place = 'full', on, i end

local function standIn(i)
  if i and room(account(i)) and fate(i, 16) == TAKE then take(2, i) end
end

local ended = false
local i = bound('b:', ARGV[13])
if i then
  local f = fate(i, 1)
  response = i .. ' ' .. f
  if f ~= TAKE then
    if f == DROP and not dry then call('DEL', P .. 'b:' .. ARGV[13]) end
    ended = has(options, 'r')
  else
    ended = true
    local free = room(account(i))
    if not free then response = response .. 'f' end
    if not dry then
      bind('b:', ARGV[15], i, tonumber(ARGV[16]))
      if free then bind('b:', ARGV[13], i, tonumber(ARGV[14])) end
    end
    if free then take(1, i) else full(1, i) end
  end
end
if not ended then
  local other = bound('s:', ARGV[15])
  if other then substitute = int(other) end
  i = bound('b:', ARGV[15])
  if i then
    local f = fate(i, 4)
    session = i .. ' ' .. f
    if f == DROP then
      if not dry then call('DEL', P .. 'b:' .. ARGV[15]) end
    elseif f == KEEP then
      standIn(other)
    elseif room(account(i)) then
      if not dry then bind('b:', ARGV[15], i, tonumber(ARGV[16])) end
      take(2, i)
    else
      session = session .. 'f'
      if has(options, 's') then standIn(other) else full(2, i) end
    end
  end
end
local all = ''
if status ~= 'took' or has(options, 'l') then all = view() end
done()
return { int(now), status, layer, place, response, session, substitute, all }
