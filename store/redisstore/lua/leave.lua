-- Counts waiter ARGV[6] no more; one that is not known is fine. Answers the time. Idempotent.
leave(ARGV[6])
done()
return { int(now) }
