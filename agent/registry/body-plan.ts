/** Which bytes of a content answer a request, and in what form (RFC 9110, sections 14 and 15.3.7). */
import { randomBytes } from 'node:crypto'
import type { Digest } from '../../core/oci/digest.ts'
import { type ByteRange, parseRange, totalBytes } from '../../core/oci/range.ts'

/** The headers of a request that choose bytes. */
export interface RangeHeaders {
  readonly range: string | undefined
  readonly ifRange: string | undefined
}

export interface ContentFacts {
  readonly digest: Digest
  readonly size: number
  readonly mediaType: string
}

/** One run of content bytes; in a multipart body with the text before it. */
interface Part {
  readonly before: Uint8Array | undefined
  readonly range: ByteRange
}

export interface BodyPlan {
  readonly status: 200 | 206 | 416
  readonly headers: Readonly<Record<string, string | number>>
  /** Exactly what goes into Content-Length. */
  readonly length: number
  readonly parts: readonly Part[]
  readonly after: Uint8Array | undefined
}

export function planBody(content: ContentFacts, { range, ifRange }: RangeHeaders): BodyPlan {
  // The content of a digest never changes, so its digest is a strong validator; another one asks for the whole content.
  const request = parseRange(
    ifRange === undefined || ifRange === etag(content.digest) ? range : undefined,
    content.size,
  )
  switch (request.kind) {
    case 'whole':
      return singleBody(200, content, { start: 0, end: content.size }, {})
    case 'unsatisfiable':
      return {
        status: 416,
        headers: { 'content-range': `bytes */${content.size}` },
        length: 0,
        // Of no byte: reading it shows whether the caller may know the size.
        parts: [{ before: undefined, range: { start: 0, end: 0 } }],
        after: undefined,
      }
    case 'parts': {
      const [first] = request.ranges
      if (first === undefined || request.ranges.length > 1) return multipartBody(content, request.ranges)
      return singleBody(206, content, first, { 'content-range': contentRange(first, content.size) })
    }
  }
}

/** What a HEAD of the content tells. */
export function headHeaders(content: ContentFacts): BodyPlan['headers'] {
  return { ...commonHeaders(content), 'content-type': content.mediaType, 'content-length': content.size }
}

function commonHeaders(content: ContentFacts): BodyPlan['headers'] {
  return { 'accept-ranges': 'bytes', 'docker-content-digest': content.digest, etag: etag(content.digest) }
}

function singleBody(
  status: 200 | 206,
  content: ContentFacts,
  range: ByteRange,
  headers: BodyPlan['headers'],
): BodyPlan {
  const length = range.end - range.start
  return {
    status,
    headers: { ...commonHeaders(content), ...headers, 'content-type': content.mediaType, 'content-length': length },
    length,
    parts: [{ before: undefined, range }],
    after: undefined,
  }
}

function multipartBody(content: ContentFacts, ranges: readonly ByteRange[]): BodyPlan {
  const boundary = randomBytes(16).toString('hex')
  const parts = ranges.map((range) => ({ before: partHead(boundary, content, range), range }))
  const after = Buffer.from(`\r\n--${boundary}--\r\n`)
  const framing = parts.reduce((sum, { before }) => sum + before.length, after.length)
  const length = framing + totalBytes(ranges)
  return {
    status: 206,
    headers: {
      ...commonHeaders(content),
      'content-type': `multipart/byteranges; boundary=${boundary}`,
      'content-length': length,
    },
    length,
    parts,
    after,
  }
}

function partHead(boundary: string, { mediaType, size }: ContentFacts, range: ByteRange): Uint8Array {
  const fields = `Content-Type: ${mediaType}\r\nContent-Range: ${contentRange(range, size)}`
  return Buffer.from(`\r\n--${boundary}\r\n${fields}\r\n\r\n`)
}

function contentRange({ start, end }: ByteRange, size: number): string {
  return `bytes ${start}-${end - 1}/${size}`
}

function etag(digest: Digest): string {
  return `"${digest}"`
}
