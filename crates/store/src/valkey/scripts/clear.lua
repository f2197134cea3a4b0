-- Clears a damaged partition, too, which repairs it.
if torn then
    redis.call('UNLINK', values, types, written, ends, names, state)
    return {'cleared', 0}
end
local count = redis.call('ZCOUNT', ends, '(' .. exact(cutoff), '+inf')
redis.call('UNLINK', values, types, written, ends, names)
return {'cleared', count}
