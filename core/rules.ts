/** Which images are handled how: a list of patterns, of which the first that matches decides. */

/**
 * | action     | what it means                                                                                    |
 * | `mirror`   | through the mirror, shared with other nodes; so is what no rule matches                          |
 * | `unshared` | through the mirror, and never shared with other nodes                                            |
 * | `pass`     | not through the mirror: clients go to the registry itself                                        |
 * | `refuse`   | refused; clients that have the registry as their next host may still get it there                |
 */
export const ruleActions = ['mirror', 'unshared', 'pass', 'refuse'] as const

export type RuleAction = (typeof ruleActions)[number]

export interface Rule {
  /**
   * `<registry>/<repository>[:<tag>]`. `*` stands for any part of a path component, of a tag, or of one label of the registry's
   * name; `**` for any number of components, or for every registry. A registry alone means all that it has. A pattern with a
   * tag matches what is asked for by such a tag, and nothing that is asked for by digest.
   */
  readonly pattern: string
  readonly action: RuleAction
}

/** An image by its canonical name, as far as a request names it. */
export interface ImageName {
  /** `host[:port]`. */
  readonly origin: string
  readonly repository: string
  /** Undefined for whatever is asked for by digest. */
  readonly tag?: string | undefined
}

export interface Decision {
  readonly action: RuleAction
  /** From 1; undefined where no rule matches. */
  readonly ruleNumber: number | undefined
  readonly pattern: string | undefined
}

export type DecideByRules = (image: ImageName) => Decision

/** Throws a RangeError for a pattern that is none. */
export function compileRules(rules: readonly Rule[]): DecideByRules {
  const compiled = rules.map(({ pattern, action }, index) => {
    const matches = compilePattern(pattern)
    return { matches, decision: { action, ruleNumber: index + 1, pattern } }
  })
  return (image) =>
    compiled.find(({ matches }) => matches(image))?.decision ?? {
      action: 'mirror',
      ruleNumber: undefined,
      pattern: undefined,
    }
}

interface PatternParts {
  readonly host: string
  readonly path: string
  readonly tag: string | undefined
}

const patternGrammar =
  /^(?<host>\*\*|[a-z0-9*](?:[a-z0-9.*-]*[a-z0-9*])?(?::\d{1,5})?|\[[0-9a-f:.]+\](?::\d{1,5})?)(?:\/(?<path>[a-z0-9._*/-]+)(?::(?<tag>[A-Za-z0-9_.*-]+))?)?$/

/** Undefined where `pattern` is none. */
export function parsePattern(pattern: string): PatternParts | undefined {
  const { host, path, tag } = patternGrammar.exec(pattern)?.groups ?? {}
  if (host === undefined || path?.split('/').some((component) => !isComponent(component)) === true) return undefined
  return { host, path: path ?? '**', tag }
}

/** `**` stands alone. */
function isComponent(component: string): boolean {
  return component !== '' && (component === '**' || !component.includes('**'))
}

function compilePattern(pattern: string): (image: ImageName) => boolean {
  const parts = parsePattern(pattern)
  if (parts === undefined) throw new RangeError(`not a pattern of images: ${pattern}`)
  const host = parts.host === '**' ? /^/ : new RegExp(`^${glob(parts.host, '[a-z0-9-]')}$`)
  const path = new RegExp(`^${pathExpression(parts.path.split('/'))}$`)
  const tag = parts.tag === undefined ? undefined : new RegExp(`^${glob(parts.tag, '.')}$`)
  return (image) =>
    host.test(image.origin) &&
    path.test(`/${image.repository}`) &&
    (tag === undefined || (image.tag !== undefined && tag.test(image.tag)))
}

/** Each component with the slash before it. */
function pathExpression(components: readonly string[]): string {
  return components.map((component) => (component === '**' ? '(?:/[^/]+)*' : `/${glob(component, '[^/]')}`)).join('')
}

function glob(text: string, wild: string): string {
  return text
    .split('*')
    .map((literal) => RegExp.escape(literal))
    .join(`${wild}*`)
}
