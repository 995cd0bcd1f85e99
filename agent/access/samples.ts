/** Does an origin that says it has a content really have it? It is asked for parts that it can't choose. */
import { createHash } from 'node:crypto'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { digestFromHex } from '../../core/oci/digest.ts'
import type { ByteRange } from '../../core/oci/range.ts'
import type { Random } from '../../core/ports.ts'
import type { Want } from '../registry/ports.ts'
import type { OriginClient } from '../upstream/origin-client.ts'
import { isOriginError } from '../upstream/origin-error.ts'

/** A content that matched its digest. */
export interface ProvenContent {
  readonly size: number
  /** Undefined where the bytes turn out to be lost. */
  read(range: ByteRange): Promise<Uint8Array | undefined>
}

export interface SampleComponents {
  readonly origin: Pick<OriginClient, 'fetchRange'>
  /** Which nobody can foretell, whatever was drawn before. */
  readonly random: Pick<Random, 'below'>
}

/** Where `count` parts begin, anywhere in `size` bytes. */
export function drawSamples({ random }: Pick<SampleComponents, 'random'>, size: number, count: number): number[] {
  return Array.from({ length: count }, () => random.below(Math.max(0, size - limits.possessionSampleBytes) + 1))
}

type Outcome = 'same part' | 'same whole' | 'other'

/** Asks for the parts that begin at `starts`. Rejects with an OriginError when the origin refuses or does not answer. */
export async function givesSamples(
  { origin }: Pick<SampleComponents, 'origin'>,
  want: Want,
  content: ProvenContent,
  starts: readonly number[],
  signal: AbortSignal,
): Promise<boolean> {
  const [first, ...others] = samplesOf(content.size, starts)
  return judge(signal, async (ending) => {
    const compare = (range: ByteRange): Promise<Outcome> => comparePart(origin, want, content, range, ending)
    // Alone, since an origin that ignores Range sends everything.
    const outcome = first === undefined ? 'other' : await compare(first)
    if (outcome !== 'same part') return outcome === 'same whole'
    return !(await Promise.all(others.map(compare))).includes('other')
  })
}

/** The whole of what is small. */
function samplesOf(size: number, starts: readonly number[]): ByteRange[] {
  const { possessionSampleBytes: length } = limits
  if (size <= starts.length * length) return [{ start: 0, end: size }]
  return starts.map((start) => ({ start, end: start + length }))
}

async function comparePart(
  origin: SampleComponents['origin'],
  want: Want,
  content: ProvenContent,
  range: ByteRange,
  signal: AbortSignal,
): Promise<Outcome> {
  const { ranged, body } = await origin.fetchRange({ ...want, size: content.size, ...range }, want.credential, signal)
  if (!ranged) return (await sha256(body)) === want.digest ? 'same whole' : 'other'
  const held = await content.read(range)
  if (held === undefined) throw new ShoalError('CHUNK_CORRUPT', `${want.digest} is not held at ${range.start}`)
  const given: Uint8Array[] = []
  for await (const piece of body) given.push(Buffer.from(piece))
  return Buffer.concat(given).equals(held) ? 'same part' : 'other'
}

/** Does the origin send these bytes of it, which have this SHA-256? What it sends to whoever asks for a part counts only as a part. */
export async function sendsPart(
  { origin }: Pick<SampleComponents, 'origin'>,
  want: Want,
  part: ByteRange & { readonly size: number; readonly hash: string },
  signal: AbortSignal,
): Promise<boolean> {
  const { hash, ...range } = part
  return judge(signal, async (ending) => {
    const { ranged, body } = await origin.fetchRange({ ...want, ...range }, want.credential, ending)
    return ranged && (await sha256(body)) === digestFromHex(hash)
  })
}

/** What `isRight` finds, and no where the origin sends what can't be of the content. Then `ending` ends every answer that is not read to its end. */
async function judge(signal: AbortSignal, isRight: (ending: AbortSignal) => Promise<boolean>): Promise<boolean> {
  const control = new AbortController()
  try {
    return await isRight(AbortSignal.any([signal, control.signal]))
  } catch (error) {
    if (isOther(error)) return false
    throw error
  } finally {
    control.abort()
  }
}

/** An answer that fits no such content; 416 is one too. Any other status is about who asked: to a token that has run out some say 400. */
function isOther(error: unknown): boolean {
  return isOriginError(error, 'protocol') && (error.status === undefined || error.status === 416)
}

async function sha256(body: AsyncIterable<Uint8Array>) {
  const hash = createHash('sha256')
  for await (const piece of body) hash.update(piece)
  return digestFromHex(hash.digest('hex'))
}
