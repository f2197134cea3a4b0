local NODES_MAX, LAST_BATCH_LIVES, LIVES, PARTS = 256, 60000, 604800000, 32
local RULES_MAX, COUNTS_MAX, BYTES_MAX, ATTEMPTS_MAX = 64, 128, 262144, 4294967295
-- Larger numbers are not printed exactly.
local NUMBER_END = 100000000000000

local function read(text)
  local ok, value = pcall(cjson.decode, text)
  if ok and type(value) == 'table' then return value end
end

local function given(value)
  if value ~= cjson.null then return value end
end

local function whole(value)
  return type(value) == 'number' and value >= 0 and value < NUMBER_END and value % 1 == 0
end

-- Checks that a table, if present, has these texts and these numbers.
local function has(value, texts, numbers)
  if given(value) == nil then return true end
  if type(value) ~= 'table' then return false end
  for _, name in ipairs(texts) do if type(value[name]) ~= 'string' then return false end end
  for _, name in ipairs(numbers) do if not whole(value[name]) then return false end end
  return true
end

-- Checks that there are at most `most` entries, all with keys of that type and good values.
local function each(entries, key, most, good)
  if entries == nil then return true end
  if type(entries) ~= 'table' then return false end
  local count = 0
  for name, entry in pairs(entries) do
    count = count + 1
    if count > most or type(name) ~= key or not good(entry) then return false end
  end
  return true
end

local function sound(r)
  if r.why == nil then r.why = '' end
  if r.by == nil then r.by = '' end
  local good = has(r, {'why', 'by'}, {'e', 't', 'since', 'r', 'at', 'u', 'a'}) and r.a <= ATTEMPTS_MAX
  good = good and (r.s == 'closed' or r.s == 'open' or r.s == 'half_open')
  good = good and (r.ops == nil or type(r.ops) == 'boolean')
  good = good and each(r.votes, 'string', NODES_MAX, whole)
  good = good and each(r.last, 'string', NODES_MAX, function(last)
    return type(last) == 'table' and has(last, {'i'}, {'q', 'at'})
  end)
  good = good and each(r.counts, 'string', RULES_MAX, function(counts)
    return each(counts, 'number', COUNTS_MAX, whole)
  end)
  good = good and has(r.lease, {'n', 'i'}, {'ends', 'since'}) and has(r.want, {'n'}, {'at'})
  good = good and has(r.word, {'n', 'i'}, {'q'}) and has(r.anew, {}, {'e', 't', 'f'})
  local hold = given(r.hold)
  good = good and has(hold, {'why', 'by'}, {})
  -- A lease exists exactly while the breaker is half-open.
  good = good and (given(r.lease) ~= nil) == (r.s == 'half_open')
  return good and (not hold or (type(hold.open) == 'boolean' and (given(hold.u) == nil or whole(hold.u))))
end

local c = read(args[1])
if not c or type(c.op) ~= 'string' then return end

local function work(record)
local r = record and record ~= args[2] and #record <= BYTES_MAX and read(record)
if r and whole(r.v) and r.v > 1 then return end
local torn = record and not (r and r.v == 1 and sound(r))
if torn or not r then
  r = {v = 1, e = 0, t = 0, since = 0, r = 0, at = 0, s = 'closed', u = 0, a = 0, why = '', by = ''}
end
r.votes, r.last, r.counts = r.votes or {}, r.last or {}, r.counts or {}
r.lease, r.want, r.hold, r.word = given(r.lease), given(r.want), given(r.hold), given(r.word)
r.anew = given(r.anew)
if r.hold then r.hold.u = given(r.hold.u) end

local function size(nodes)
  local n = 0
  for _ in pairs(nodes) do n = n + 1 end
  return n
end

local function next_epoch()
  r.e = r.e + 1 < NUMBER_END and r.e + 1 or 0
end

local function begin()
  r.t, r.since, r.ops, r.anew = r.t + 1, now, nil, nil
  if r.t >= NUMBER_END then
    r.t = 0
    next_epoch()
  end
  r.votes, r.last, r.counts, r.lease, r.want = {}, {}, {}, nil, nil
end

local function open(till, attempts, why, by)
  begin()
  r.s, r.u, r.a, r.why, r.by = 'open', till, attempts, why, by
end

local function close(why, by)
  begin()
  r.s, r.a, r.why, r.by = 'closed', 0, why, by
end

local function unhold(at)
  if r.hold.open then r.s, r.u = 'open', at else r.s, r.a = 'closed', 0 end
  r.hold = nil
end

-- Makes room for one more node, by removing the oldest entries.
local function bound(nodes, node, age)
  while not nodes[node] and size(nodes) >= NODES_MAX do
    local oldest
    for name, entry in pairs(nodes) do
      local older = oldest == nil or age(entry) < age(nodes[oldest])
      if older or (age(entry) == age(nodes[oldest]) and name < oldest) then oldest = name end
    end
    nodes[oldest] = nil
  end
end

-- Applies the passage of time.
if r.hold and r.hold.u and now >= r.hold.u then unhold(r.hold.u) end
for name, ends in pairs(r.votes) do if now >= ends then r.votes[name] = nil end end
for name, last in pairs(r.last) do if now >= last.at + LAST_BATCH_LIVES then r.last[name] = nil end end

-- Compares the version of the command with that of the record.
local older = c.e < r.e or (c.e == r.e and c.t < r.t)
local newer = c.e > r.e or (c.e == r.e and c.t > r.t)
local same = not older and not newer and c.since == r.since
if c.op == 'hold' or c.op == 'release' or c.op == 'reset' then
  if r.word and r.word.n == c.n and r.word.i == c.i and r.word.q == c.q then return end
  if newer then
    r.e, r.t, r.since = c.e, c.t, c.since
    next_epoch()
  end
elseif c.op == 'assert' then
  -- To a node that knows a newer version than the one restored, the record still counts as lost.
  local of = r.anew and c.e < r.anew.f and r.anew
  local unknown = of and (of.e < c.e or (of.e == c.e and of.t < c.t))
  if (older and not unknown) or (same and not torn) then return end
elseif not same or r.hold then
  return
end

local function sum(pairs_of)
  local total = 0
  for at = 2, #pairs_of, 2 do total = total + pairs_of[at] end
  return total
end

-- Adds failures to a rule's count, and returns the count before and after.
local function count(number, rule)
  local key, kept = tostring(number - 1), {}
  local old = r.counts[key] or {}
  for at = 1, #old - 1, 2 do
    if rule.within == 0 or now < old[at] + rule.within then
      kept[#kept + 1], kept[#kept + 2] = old[at], old[at + 1]
    end
  end
  local before = sum(kept)
  if rule.row and c.had_success then kept = {} end
  local added = rule.row and c.row or c.failures
  if added > 0 then
    local part = math.max(math.floor(rule.within / PARTS), 1)
    local newest = #kept - 1
    if newest > 0 and (rule.within == 0 or now < kept[newest] + part) then
      kept[newest + 1] = kept[newest + 1] + added
    else
      kept[#kept + 1], kept[#kept + 2] = now, added
    end
  end
  r.counts[key] = #kept > 0 and kept or nil
  return before, sum(kept)
end

local acts = {}

function acts.trip()
  if r.s ~= 'closed' then return end
  bound(r.votes, c.n, function(ends) return ends end)
  r.votes[c.n] = now + c.cooldown
  if size(r.votes) < c.quorum then return false end
  open(now + c.cooldown, c.attempts, c.why, c.n)
  return true
end

function acts.batch()
  if r.s ~= 'closed' then return end
  local last = r.last[c.n]
  if last and last.i == c.i and c.q <= last.q then return end
  bound(r.last, c.n, function(entry) return entry.at end)
  r.last[c.n] = {i = c.i, q = c.q, at = now}
  local before, after, met, counted = 0, 0, nil, 0
  for number, rule in ipairs(c.rules) do
    local old, new = count(number, rule)
    if rule.row then before, after = before + old, after + new end
    if new >= rule.threshold and not met then met, counted = rule, new end
  end
  if not met then return (before > 0) ~= (after > 0) end
  local what = met.row and 'consecutive failures' or 'failures'
  local why = string.format('%d %s over the fleet, the limit is %d', counted, what, met.threshold)
  open(now + c.cooldown, math.min(r.a + 1, ATTEMPTS_MAX), why, c.n)
  return true
end

function acts.lease()
  if r.s == 'closed' or (r.s == 'open' and now < r.u) then return end
  local held = r.s == 'half_open' and r.lease and now < r.lease.ends
  if held and r.lease.n == c.n and r.lease.i == c.i then
    local wanted = r.want and r.want.n ~= c.n and now < r.want.at + c.span
    if wanted and not c.used and now >= r.lease.since + c.span then return end
    r.lease.ends = now + c.span
    return false
  elseif held then
    r.want = {n = c.n, at = now}
    return false
  end
  -- A cooldown never ends early, whoever wants the lease.
  if now < r.u then return end
  begin()
  r.s, r.lease = 'half_open', {n = c.n, i = c.i, ends = now + c.span, since = now}
  return true
end

local function led()
  return r.s == 'half_open' and r.lease and r.lease.n == c.n and r.lease.i == c.i and now <= r.lease.ends
end

function acts.close()
  if not led() then return end
  close(c.why, c.n)
  return true
end

function acts.reopen()
  if not led() then return end
  open(now + c.cooldown, c.attempts, c.why, c.n)
  return true
end

acts['assert'] = function()
  local mine = given(c.open_for) and now + c.open_for
  local theirs
  if r.s ~= 'closed' then theirs = math.max(r.u, now) end
  -- A node that held the lease before the loss may still be probing: the lease cannot be renewed, and no node leads
  -- before it ends.
  local led, lease = given(c.led), r.lease
  if led and (not lease or now + led.span >= lease.ends) then lease = {n = led.n, ends = now + led.span} end
  if mine or not theirs then r.why, r.by = c.why, c.by end
  r.a = math.max(r.a, c.attempts)
  local votes = r.votes
  local first = older and r.anew.f
  r.e, r.t = math.max(r.e, c.e), math.max(r.t, c.t)
  begin()
  next_epoch()
  r.anew = {e = c.e, t = c.t, f = first or r.e}
  if mine or theirs then
    r.s, r.u = 'open', math.max(mine or 0, theirs or 0)
  else
    r.s, r.votes = 'closed', votes
  end
  r.hold = r.hold or given(c.hold)
  if r.s == 'open' and lease and lease.ends > r.u and not r.hold then
    r.s, r.lease = 'half_open', {n = lease.n, i = '', ends = lease.ends, since = now}
  end
  return true
end

function acts.hold()
  if r.s == 'half_open' then r.s, r.u = 'open', now end
  begin()
  local span = given(c.span)
  r.hold = {open = c.open, u = span and now + span, why = c.why, by = c.by}
  r.word = {n = c.n, i = c.i, q = c.q}
  return true
end

function acts.release()
  if not r.hold then return end
  begin()
  unhold(now)
  r.word = {n = c.n, i = c.i, q = c.q}
  return true
end

function acts.reset()
  r.hold = nil
  close('reset by an operator', c.by)
  r.ops, r.word = true, {n = c.n, i = c.i, q = c.q}
  return true
end

local act = acts[c.op]
if not act then return end
local push = act()
if push == nil then return end

r.r, r.at = r.r + 1 < NUMBER_END and r.r + 1 or 1, now
local last = math.max(r.u, r.hold and r.hold.u or 0) - now
-- An empty table could be encoded as a list or as an object, so it is omitted.
for _, name in ipairs({'votes', 'last', 'counts'}) do
  if next(r[name]) == nil then r[name] = nil end
end
return cjson.encode(r), LIVES + math.max(last, 0), push
end

-- An unforeseen fault in a record must not block its changes for ever: such a record counts as absent.
local ok, new, live, push = pcall(work, record)
if not ok then new, live, push = work(nil) end
return new, live, push
