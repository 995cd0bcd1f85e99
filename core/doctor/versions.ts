/** containerd's release numbers, as far as its behaviour depends on them. */

/** Is `version` (`1.7.24`) that of `major.minor`, or newer? Undefined where it is no version. */
export function isAtLeast(version: string | undefined, major: number, minor: number): boolean | undefined {
  const [, ofMajor, ofMinor] = /^v?(\d+)\.(\d+)/.exec(version ?? '') ?? []
  if (ofMajor === undefined) return undefined
  return Number(ofMajor) > major || (Number(ofMajor) === major && Number(ofMinor) >= minor)
}
