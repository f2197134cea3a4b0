-- Evicts what was written longest ago, once per sweep time, whoever of the clients comes first.
-- ARGV: 5 the most objects, 6 how many to remove at most.
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
