/**
 * JSON that means the same to every reader. Parsers differ on repeated keys (the first or the last wins), so a document
 * that repeats one can show a checker something else than it shows containerd (facts/security.md, manifest confusion).
 */
import { limits } from '../limits.ts'

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Throws an Error that says what is wrong: not UTF-8, not JSON, a key twice in one object, nested too deep. */
export function parseStrictJson(bytes: Uint8Array): unknown {
  const text = decoder.decode(bytes)
  const value: unknown = JSON.parse(text)
  refuseRepeatedKeys(text)
  return value
}

/** `text` is known to be JSON, so a look at strings and brackets is enough. */
function refuseRepeatedKeys(text: string): void {
  /** The keys seen in each open object; undefined for an open array. */
  const open: (Set<string> | undefined)[] = []
  let keyNext = false
  for (let at = 0; at < text.length; at++) {
    switch (text.charAt(at)) {
      case '{':
      case '[':
        open.push(text[at] === '{' ? new Set() : undefined)
        if (open.length > limits.jsonDepthMax) throw new Error(`nested deeper than ${limits.jsonDepthMax}`)
        keyNext = text[at] === '{'
        break
      case '}':
      case ']':
        open.pop()
        keyNext = false
        break
      case ',':
        keyNext = open.at(-1) !== undefined
        break
      case '"': {
        const end = stringEnd(text, at)
        if (keyNext) addKey(open.at(-1), text.slice(at, end + 1))
        keyNext = false
        at = end
        break
      }
      default:
    }
  }
}

/** The index of the quote that closes the string that opens at `start`. */
function stringEnd(text: string, start: number): number {
  let at = start + 1
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}

/** `literal` is the key as written: `"a"` and `"\u0061"` are one key. */
function addKey(keys: Set<string> | undefined, literal: string): void {
  const key = String(JSON.parse(literal))
  if (keys?.has(key) === true) throw new Error(`the key ${JSON.stringify(key.slice(0, 80))} stands twice in one object`)
  keys?.add(key)
}
