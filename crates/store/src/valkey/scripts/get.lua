-- ARGV: 5 key.
if torn then
    return {'torn'}
end
local at = live(ARGV[5])
return at and object(ARGV[5], at) or {'none'}
