/** What values.yaml says of its values: the comment `# -- …` above each, as helm-docs reads it. */
import { isMap, isNode, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml'

export interface DescribedValue {
  /** As `--set` takes it: `image.tag`. */
  readonly path: string
  readonly description: string
  /** As JSON; undefined where the values below it say it. */
  readonly default?: string
}

/** Every value that has such a comment, in order. */
export function describedValues(text: string): DescribedValue[] {
  const { contents } = parseDocument(text)
  return isMap(contents) ? below(contents, []) : []
}

function below(map: YAMLMap, parents: readonly string[]): DescribedValue[] {
  return map.items.flatMap((pair, index) => {
    const path = [...parents, keyOf(pair)]
    const children = isMap(pair.value) ? below(pair.value, path) : []
    // The comment above a mapping's first key belongs, for the parser, to the mapping.
    const description = describe(index === 0 ? map.commentBefore : undefined) ?? describe(commentBefore(pair))
    if (description === undefined) return children
    const own = { path: path.join('.'), description }
    return [children.length > 0 ? own : { ...own, default: defaultOf(pair) }, ...children]
  })
}

function keyOf({ key }: Pair): string {
  return isScalar(key) ? String(key.value) : String(key)
}

function commentBefore({ key }: Pair): string | undefined | null {
  return isScalar(key) ? key.commentBefore : undefined
}

/** From `--` to the end, as one line. */
function describe(comment: string | undefined | null): string | undefined {
  const [, text] = /(?:^|\n) -- (.*)$/s.exec(comment ?? '') ?? []
  return text
    ?.split('\n')
    .map((line) => line.trim())
    .join(' ')
}

function defaultOf({ value }: Pair): string {
  return JSON.stringify(isNode(value) ? value.toJSON() : null)
}
