/** Undefined where the text is no JSON: the error of `JSON.parse` quotes what it could not read, which may be a secret. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
