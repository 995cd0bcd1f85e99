/** Medians and spreads of several runs, and how a bench prints them. */

/** Of an even number of values, the mean of the middle two. */
function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** By linear interpolation between the closest ranks; NaN of no values. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const rank = (sorted.length - 1) * share
  const low = sorted[Math.floor(rank)] ?? Number.NaN
  const high = sorted[Math.ceil(rank)] ?? Number.NaN
  return low + (high - low) * (rank - Math.floor(rank))
}

/** Smallest and largest. */
function spread(values: readonly number[]): [number, number] {
  return [Math.min(...values), Math.max(...values)]
}

/** The medians of each field over all runs. */
export function medians<Run extends Record<string, number>>(runs: readonly Run[]): Run {
  return overFields(runs, median)
}

/** The smallest and largest of each field over all runs. */
export function spreads<Run extends Record<string, number>>(runs: readonly Run[]): Record<keyof Run, [number, number]> {
  return overFields(runs, spread)
}

function overFields<Run extends Record<string, number>, Out>(
  runs: readonly Run[],
  fold: (values: number[]) => Out,
): Record<keyof Run, Out> & Run {
  const names = Object.keys(runs[0] ?? {})
  return Object.fromEntries(names.map((name) => [name, fold(runs.map((run) => Number(run[name])))])) as never
}

/** Figures as people read them: four digits are more than any of these benches can tell apart. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4))
}

/** `rounded` for every field of a run. */
export function roundedFields<Run extends Record<string, number>>(run: Run): Run {
  return overFields([run], ([value]) => rounded(Number(value)))
}
