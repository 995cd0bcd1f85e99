/** `WWW-Authenticate` (RFC 9110, 11.6.1), parsed strictly: a field that does not follow the grammar says nothing. */
import { limits } from '../../core/limits.ts'

export interface Challenge {
  /** In lower case. */
  readonly scheme: string
  readonly token68?: string
  /** Names in lower case; each at most once. */
  readonly parameters: ReadonlyMap<string, string>
}

const token = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y
const quotedString = /"(?:[\t \x21\x23-\x5B\x5D-\x7E\x80-\xFF]|\\[\t \x21-\x7E\x80-\xFF])*"/y
const token68 = /[A-Za-z0-9._~+/-]+=*/y
const equals = /[ \t]*=[ \t]*/y
const spaces = / +/y
const separator = /[ \t]*(?:,[ \t]*)+/y
const leadingSeparators = /[ \t]*(?:,[ \t]*)*/y
const trailingSpace = /[ \t]*/y

interface OpenChallenge {
  readonly scheme: string
  token68?: string
  readonly parameters: Map<string, string>
}

/** The challenges of all fields of one answer, in order. Fields that are malformed or too long are left out. */
export function parseChallenges(fields: readonly string[]): Challenge[] {
  return fields.flatMap((field) => parseField(field) ?? [])
}

/** `#challenge`. Undefined when it is malformed anywhere. */
function parseField(field: string): Challenge[] | undefined {
  if (field.length > limits.challengeMaxLength) return undefined
  const input = createReader(field)
  const challenges: OpenChallenge[] = []
  input.take(leadingSeparators)
  while (!input.ended()) {
    const added = parseElement(input, challenges.at(-1))
    if (added === undefined) return undefined
    if (added !== challenges.at(-1)) challenges.push(added)
    if (input.take(separator) === undefined) {
      input.take(trailingSpace)
      if (!input.ended()) return undefined
    }
  }
  return challenges
}

/** Between two commas stands either one more parameter of the challenge before, or the start of a new one. */
function parseElement(input: Reader, before: OpenChallenge | undefined): OpenChallenge | undefined {
  const name = input.take(token)
  if (name === undefined) return undefined
  if (input.take(equals) !== undefined) {
    return before !== undefined && before.token68 === undefined && addParameter(input, before, name)
      ? before
      : undefined
  }
  const challenge: OpenChallenge = { scheme: name.toLowerCase(), parameters: new Map() }
  if (input.take(spaces) === undefined || input.atSeparator()) return challenge
  return parseCredentials(input, challenge) ? challenge : undefined
}

/** `token68` or the first parameter. */
function parseCredentials(input: Reader, challenge: OpenChallenge): boolean {
  const start = input.position()
  const text = input.take(token68)
  if (text !== undefined && input.atSeparator()) {
    challenge.token68 = text
    return true
  }
  input.reset(start)
  const name = input.take(token)
  return name !== undefined && input.take(equals) !== undefined && addParameter(input, challenge, name)
}

function addParameter(input: Reader, challenge: OpenChallenge, name: string): boolean {
  const value = input.take(token) ?? unquote(input.take(quotedString))
  const key = name.toLowerCase()
  if (value === undefined || challenge.parameters.has(key)) return false
  challenge.parameters.set(key, value)
  return true
}

function unquote(quoted: string | undefined): string | undefined {
  return quoted?.slice(1, -1).replaceAll(/\\(.)/g, '$1')
}

interface Reader {
  /** What the sticky `pattern` matches here, moving past it. */
  take(pattern: RegExp): string | undefined
  /** Is the end, or the comma after this element, all that comes next? */
  atSeparator(): boolean
  ended(): boolean
  position(): number
  reset(position: number): void
}

function createReader(text: string): Reader {
  let at = 0
  return {
    take(pattern) {
      pattern.lastIndex = at
      const [match] = pattern.exec(text) ?? []
      at += match?.length ?? 0
      return match
    },
    atSeparator() {
      return /^[ \t]*(?:,|$)/.test(text.slice(at))
    },
    ended: () => at === text.length,
    position: () => at,
    reset(position) {
      at = position
    },
  }
}
