-- Evicts the objects with the oldest writes, once per sweep time for all clients together.
-- ARGV: 5 the most objects in the partition, 6 the most to remove.
if torn then
    return {'torn'}
end
local field, excess = 'evicted:' .. ARGV[2], redis.call('ZCARD', written) - ARGV[5]
if redis.call('HGET', state, field) == exact(cutoff) then
    return {'removed', 0}
end
local count = math.max(0, math.min(excess, tonumber(ARGV[6])))
for _, key in ipairs(count > 0 and redis.call('ZRANGE', written, 0, count - 1) or {}) do
    take(key)
end
if count >= excess then
    redis.call('HSET', state, field, exact(cutoff))
end
return {'removed', count}
