-- ARGV: 5 key, 6 '', 'absent' or the required version.
if torn then
    return {'torn'}
end
local key, when = ARGV[5], ARGV[6]
local at = live(key)
if not at or (when ~= '' and version(key) ~= when) then
    return {'none'}
end
local gone = object(key, at)
take(key)
return gone
