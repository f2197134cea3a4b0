-- One partition, as every script sees it.
--
-- KEYS: values, types, written, ends, names, state. An object is a field of `values` (its bytes) and
-- of `types` (its media type), and a member of `written` (scored by its version), of `ends` (scored
-- by the end of its life in milliseconds, +inf without one) and of `names` (all scored 0, so that
-- they sort by their bytes). So the first five exist together, or none does.
--
-- ARGV: 1 the time in milliseconds, or '' for the server's own; 2 the milliseconds between sweeps,
-- or '' to expire on read; 3 the milliseconds since the settings were laid down; 4 the highest
-- version that the client has seen.
local values, types, written, ends, names, state = unpack(KEYS)

-- A number in full: Lua's own text of a large one is rounded.
local function exact(number)
    return string.format('%.0f', number)
end

local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = tonumber(ARGV[1]) or math.floor(micros / 1000)

-- Whether a part of it is missing or foreign, so that nothing can be said of the rest. Looked at
-- first, because a script that fails halfway leaves what it did.
local torn
do
    local there = 0
    for part, kind in ipairs({'hash', 'hash', 'zset', 'zset', 'zset', 'hash'}) do
        local found = redis.call('TYPE', KEYS[part]).ok
        if found == kind and part < 6 then
            there = there + 1
        elseif found ~= kind and found ~= 'none' then
            torn = true
        end
    end
    torn = torn or (there ~= 0 and there ~= 5)
end

-- What ends at this moment or before is gone.
local cutoff = now
if ARGV[2] ~= '' and not torn then
    local every, field = tonumber(ARGV[2]), 'anchor:' .. ARGV[2]
    local anchor = tonumber(redis.call('HGET', state, field) or '')
    if not anchor then
        -- The first client with this interval sets its rhythm for all.
        anchor = now - ARGV[3]
        -- A replica or a full server refuses the write; then the next client sets the rhythm.
        redis.pcall('HSET', state, field, exact(anchor))
    end
    cutoff = math.max(0, anchor + math.floor((now - anchor) / every) * every)
end

-- The end of an object's life, if it is live.
local function live(key)
    local at = tonumber(redis.call('ZSCORE', ends, key) or '')
    if at and at > cutoff then
        return at
    end
end

-- The end of a life that begins now. Beyond 2^53 a score is not exact.
local function life(ttl)
    if ttl == '' then
        return math.huge
    end
    return math.min(now + ttl, 9007199254740991)
end

local function version(key)
    return exact(tonumber(redis.call('ZSCORE', written, key)))
end

local function object(key, at)
    local value, media = redis.call('HGET', values, key), redis.call('HGET', types, key)
    return {'object', value, media, version(key), at == math.huge and '' or exact(at)}
end

local function take(key)
    redis.call('HDEL', values, key)
    redis.call('HDEL', types, key)
    redis.call('ZREM', written, key)
    redis.call('ZREM', ends, key)
    redis.call('ZREM', names, key)
end

-- Removes the longest expired, and answers how many.
local function reclaim(budget)
    local due = redis.call('ZRANGEBYSCORE', ends, '-inf', exact(cutoff), 'LIMIT', 0, budget)
    for _, key in ipairs(due) do
        take(key)
    end
    return #due
end

-- Stores over whatever is there. Answers the version, or nothing if the partition is full; and
-- whether it is the partition's first version.
local function store(key, value, media, at, max)
    if max and not redis.call('ZSCORE', ends, key) then
        while redis.call('ZCARD', ends) >= max do
            if reclaim(1) == 0 then
                return nil
            end
        end
    end
    -- A server whose memory is full refuses the first write of a script, and no later one.
    redis.call('HSET', values, key, value)
    redis.call('HSET', types, key, media)
    redis.call('ZADD', ends, at == math.huge and '+inf' or exact(at), key)
    redis.call('ZADD', names, 0, key)
    -- The clock makes versions rise even where a failover or a flush took the last one away.
    local last = tonumber(redis.call('HGET', state, 'version') or '0')
    local given = exact(math.max(last, ARGV[4], micros - 1) + 1)
    redis.call('HSET', state, 'version', given)
    redis.call('ZADD', written, given, key)
    return given, last == 0 and 1 or 0
end
