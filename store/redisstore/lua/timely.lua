-- After the guard of what must not be done late; what gives back is welcome at any time.
if untimely then
  done()
  return { int(now), 'late' }
end
