-- After the prelude of every script but register: places are worth nothing to one who knows another epoch.
if string.sub(loads, 1, EPOCH) ~= ARGV[2] then return { 'epoch', string.sub(loads, 1, EPOCH) } end
if not untimely then due(STEP) end
