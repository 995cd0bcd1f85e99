/** Waits for `work`, but no longer than `ms`; false when that was not enough. Rejects as `work` does. */
export async function within(work: Promise<unknown>, ms: number): Promise<boolean> {
  const late = Promise.withResolvers<false>()
  const timer = setTimeout(() => late.resolve(false), ms)
  const ended = work.then(() => true)
  return Promise.race([ended, late.promise]).finally(() => clearTimeout(timer))
}
