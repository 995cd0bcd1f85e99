/** The byte path: a content, or the ranges of it that were asked for, as an HTTP body. */
import { ShoalError } from '../../core/errors.ts'
import type { ByteRange } from '../../core/oci/range.ts'
import { singleHeader } from '../upstream/headers.ts'
import { answerToError } from './answer.ts'
import { type BodyPlan, type ContentFacts, headHeaders, planBody } from './body-plan.ts'
import type { Exchange } from './exchange.ts'
import type { ReadOptions } from './ports.ts'

/** The bytes of one range, in order. */
type ReadRange = (range: ByteRange, options: ReadOptions) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>

/** Answers a HEAD. A HEAD has no ranges (RFC 9110, 14.2). */
export function sendHead({ response }: Exchange, content: ContentFacts): void {
  response.writeHead(200, headHeaders(content))
  response.end()
}

/**
 * Answers a GET. The head leaves when the first bytes are in hand, so that whatever fails before them is an error that
 * containerd falls back from; what fails after them rejects with part of the body sent. `reading` is called once the read
 * has begun, with whether it is of the whole content.
 */
export async function sendContent(
  exchange: Exchange,
  content: ContentFacts,
  read: ReadRange,
  reading: (whole: boolean) => void = () => undefined,
): Promise<void> {
  const plan = planBody(content, {
    range: exchange.request.headers.range,
    ifRange: singleHeader(exchange.request.headers, 'if-range'),
  })
  const whole = plan.status === 200
  const pieces = bodyOf(plan, read, { whole, signal: exchange.signal })
  const first = pieces.next()
  if (plan.status === 416) {
    await first
    return refuseRange(exchange, plan)
  }
  reading(whole)
  await stream(exchange, plan, await first, pieces)
}

function refuseRange(exchange: Exchange, { headers }: BodyPlan): void {
  const answer = answerToError(new ShoalError('RANGE_UNSATISFIABLE', 'No byte of the content lies in the range'))
  exchange.send({ ...answer, headers: { ...answer.headers, ...headers } })
}

type Pieces = AsyncGenerator<Uint8Array, void, undefined>

/** A part's head comes with the first bytes of the part, not before. */
async function* bodyOf(plan: BodyPlan, read: ReadRange, options: ReadOptions): Pieces {
  for (const { before, range } of plan.parts) {
    let head = before
    for await (const piece of read(range, options)) {
      if (head !== undefined) yield head
      head = undefined
      yield piece
    }
  }
  if (plan.after !== undefined) yield plan.after
}

async function stream(
  exchange: Exchange,
  plan: BodyPlan,
  first: IteratorResult<Uint8Array, void>,
  pieces: Pieces,
): Promise<void> {
  try {
    exchange.response.writeHead(plan.status, plan.headers)
    let left = plan.length
    for (let piece = first; piece.done !== true; piece = await pieces.next()) {
      left -= piece.value.length
      if (left < 0) throw new ShoalError('STREAM_BROKEN', 'The source gave more bytes than the content has')
      await exchange.write(piece.value)
    }
    if (left > 0) throw new ShoalError('STREAM_BROKEN', `The source ended ${left} bytes early`)
    exchange.response.end()
  } finally {
    await pieces.return()
  }
}
