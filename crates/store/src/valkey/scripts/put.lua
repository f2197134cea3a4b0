-- ARGV: 5 key, 6 value, 7 media type, 8 time to live in milliseconds or '', 9 '', 'absent' or the
-- required version, 10 the most objects or '' for no limit.
if torn then
    return {'torn'}
end
local key, value, media, ttl, when, max = unpack(ARGV, 5)
local current = live(key) and version(key)
if (when == 'absent' and current) or (when ~= '' and when ~= 'absent' and current ~= when) then
    return {'refused', current or ''}
end
local given, first = store(key, value, media, life(ttl), tonumber(max))
return given and {'stored', given, first} or {'full'}
