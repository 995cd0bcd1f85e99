/** Says what is wrong with a set of options, in words that lead to the repair. */
import type { z } from 'zod'

type Issue = z.core.$ZodIssue
type Path = readonly PropertyKey[]

/** One line per fault. `knownKeys` are the names allowed at a path; `where` says where an option's value came from. */
export function describeIssue(
  issue: Issue,
  knownKeys: (path: Path) => readonly string[],
  where: (option: string) => string | undefined,
): string[] {
  if (issue.code === 'invalid_union') {
    const meant = meantBranch(issue.errors)
    if (meant !== undefined)
      return meant.flatMap((inner) =>
        describeIssue({ ...inner, path: [...issue.path, ...inner.path] }, knownKeys, where),
      )
  }
  const source = issue.path.length === 0 ? undefined : where(String(issue.path[0]))
  const from = source === undefined ? '' : ` (from ${source})`
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map(
      (key) => `${unknownOption([...issue.path, key].join('.'), key, knownKeys(issue.path))}${from}`,
    )
  return [`${issue.path.join('.')}${from}: ${issue.message}`]
}

/** The alternative of a union that has the right type and fails inside, so that its faults can be told. */
function meantBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  return branches.find((branch) => !branch.some((issue) => issue.path.length === 0 && issue.code === 'invalid_type'))
}

export function unknownOption(shown: string, name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  return `unknown option ${shown}${near === undefined ? '' : ` (did you mean ${near}?)`}`
}

/** The known name that takes the fewest edits to reach, if a slip can explain the difference. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const ranked = known.map((candidate) => ({ candidate, edits: editDistance(plain(name), plain(candidate)) }))
  const best = ranked.toSorted((a, b) => a.edits - b.edits)[0]
  return best !== undefined && best.edits <= Math.max(2, name.length / 4) ? best.candidate : undefined
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '')
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, replaced))
    }
    row = next
  }
  return row[b.length] ?? 0
}
