-- ARGV: 5 the longest life in milliseconds, 6 the most to remove.
if torn then
    return {'torn'}
end
local latest, budget = exact(now + ARGV[5]), tonumber(ARGV[6])
local late = redis.call('ZREVRANGEBYSCORE', ends, '(+inf', '(' .. latest, 'LIMIT', 0, budget)
for _, key in ipairs(late) do
    redis.call('ZADD', ends, latest, key)
end
return {'removed', reclaim(budget)}
