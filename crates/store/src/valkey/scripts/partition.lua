-- The keys of one partition, and the functions that all scripts share.
--
-- KEYS: values, types, written, ends, names, state. An object is a field of `values` (its bytes) and
-- of `types` (its media type), and a member of `written` (scored by its version), of `ends` (scored
-- by the end of its life in milliseconds, +inf without one) and of `names` (all scored 0, so that
-- they sort by their bytes). So the first five keys exist together, or none does.
--
-- ARGV: 1 the time in milliseconds, or '' for the server's own; 2 the milliseconds between sweeps,
-- or '' to expire on read; 3 the milliseconds since the partition was configured; 4 the highest
-- version that the client has seen.
local values, types, written, ends, names, state = unpack(KEYS)

-- Formats a number exactly; Lua's own conversion rounds large numbers.
local function exact(number)
    return string.format('%.0f', number)
end

local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = tonumber(ARGV[1]) or math.floor(micros / 1000)

-- True if a key of the partition is missing or foreign, so that the rest cannot be trusted. Checked
-- first, because a script that fails halfway is not rolled back.
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

-- Objects whose life ends at this moment or earlier are gone.
local cutoff = now
if ARGV[2] ~= '' and not torn then
    local every, field = tonumber(ARGV[2]), 'anchor:' .. ARGV[2]
    local anchor = tonumber(redis.call('HGET', state, field) or '')
    if not anchor then
        -- The first client with this interval sets the sweep times for all.
        anchor = now - ARGV[3]
        -- A replica or a full server rejects the write; then the next client sets the sweep times.
        redis.pcall('HSET', state, field, exact(anchor))
    end
    cutoff = math.max(0, anchor + math.floor((now - anchor) / every) * every)
end

-- Returns the end of an object's life, or nil if the object is not live.
local function live(key)
    local at = tonumber(redis.call('ZSCORE', ends, key) or '')
    if at and at > cutoff then
        return at
    end
end

-- Returns the end of a life that begins now. Scores are not exact beyond 2^53.
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

-- Removes expired objects, the earliest expired first, and returns their number.
local function reclaim(budget)
    local due = redis.call('ZRANGEBYSCORE', ends, '-inf', exact(cutoff), 'LIMIT', 0, budget)
    for _, key in ipairs(due) do
        take(key)
    end
    return #due
end

-- Stores an object, replacing any other. Returns the version, or nil if the partition is full; and
-- 1 if it is the partition's first version, else 0.
local function store(key, value, media, at, max)
    if max and not redis.call('ZSCORE', ends, key) then
        while redis.call('ZCARD', ends) >= max do
            if reclaim(1) == 0 then
                return nil
            end
        end
    end
    -- A server whose memory is full rejects the first write of a script, but no later one.
    redis.call('HSET', values, key, value)
    redis.call('HSET', types, key, media)
    redis.call('ZADD', ends, at == math.huge and '+inf' or exact(at), key)
    redis.call('ZADD', names, 0, key)
    -- The clock makes versions rise even if a failover or a flush lost the last version.
    local last = tonumber(redis.call('HGET', state, 'version') or '0')
    local given = exact(math.max(last, ARGV[4], micros - 1) + 1)
    redis.call('HSET', state, 'version', given)
    redis.call('ZADD', written, given, key)
    return given, last == 0 and 1 or 0
end
