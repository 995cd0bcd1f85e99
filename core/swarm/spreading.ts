/**
 * How fast what only this node has leaves it. A node with a weak uplink fetches from the origin as fast as any, and all others
 * then wait for what lies there: so it asks for no lease before it is nearly through with the last.
 */
import { lengthOf } from './session.ts'
import { smoothed, type SwarmState, type Upload } from './state.ts'

/** An upload has left. If it was the chunk's first, the time it took tells how fast such chunks leave. */
export function noteLeft(state: SwarmState, upload: Upload): void {
  const { clock, uploads } = state
  const bytes = soleBytes(state, upload, 1) - upload.offset
  if (bytes <= 0) return
  const sinceMs = Math.max(upload.askedAtMs, uploads.soleLeftAtMs)
  uploads.soleLeftAtMs = clock.now()
  uploads.soleByteMs = smoothed(uploads.soleByteMs, (clock.now() - sinceMs) / bytes)
}

/** How long until all has left that others ask for and only this node has, and then `comingBytes` more. */
export function leavingMs(state: SwarmState, comingBytes: number): number {
  const { clock, uploads } = state
  const counted = new Set<string>()
  let bytes = comingBytes
  let byteMs = uploads.soleByteMs
  const add = (upload: Upload, starts: number): void => {
    const ownBytes = soleBytes(state, upload, starts)
    const chunk = `${upload.digest} ${upload.index}`
    if (ownBytes === 0 || counted.has(chunk)) return
    counted.add(chunk)
    bytes += ownBytes
    // Nothing has left yet, or less than usual: the wait so far tells how slow it is at least.
    byteMs = Math.max(byteMs, (clock.now() - Math.max(upload.askedAtMs, uploads.soleLeftAtMs)) / ownBytes)
  }
  for (const upload of uploads.active) add(upload, 1)
  for (const upload of uploads.waiting) add(upload, 0)
  return bytes * byteMs
}

/** The chunk's length where nobody else has it and it was sent no oftener than `starts`; else 0. */
function soleBytes({ sessions }: SwarmState, { digest, index }: Upload, starts: number): number {
  const session = sessions.get(digest)
  if (session === undefined || session.availability[index] !== 0 || session.sent[index] !== starts) return 0
  return lengthOf(session, index)
}
