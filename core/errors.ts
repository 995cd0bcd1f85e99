/** Every error a user can meet, in one table: its stable code, what it says, and how an OCI client sees it. */
import type { OciErrorCode } from './oci/errors.ts'

interface ErrorSpec {
  /** HTTP status where the error reaches a client over HTTP. Never 408 or 429: containerd re-sends those at once, five times. */
  readonly status: number
  /** The code in the OCI error body. */
  readonly oci: OciErrorCode
  /** What is wrong, and what to do about it. */
  readonly help: string
}

/** Sorted by code. Add yours here; a test holds that each is used and documented. */
export const errorTable = {
  CHUNK_CORRUPT: {
    status: 500,
    oci: 'BLOB_UNKNOWN',
    help: 'A chunk on disk no longer matches its hash and was dropped; it is fetched again. Check the disk if this repeats.',
  },
  DISK_FAILED: {
    status: 500,
    oci: 'BLOB_UNKNOWN',
    help: 'The data directory can not be read or written; blobs pass through unkept. Check the disk and its permissions.',
  },
  DISK_FULL: {
    status: 500,
    oci: 'BLOB_UNKNOWN',
    help: 'The data directory is full; blobs pass through unkept. Free space or lower --store-max-bytes.',
  },
  SIZE_CONFLICT: {
    status: 502,
    oci: 'SIZE_INVALID',
    help: 'The same digest was described with two sizes; the manifest or the origin is wrong.',
  },
} as const satisfies Record<string, ErrorSpec>

export type ErrorCode = keyof typeof errorTable

/** The one error class of Shoal. `detail` names what was wrong; it never holds a secret. */
export class ShoalError extends Error {
  readonly code: ErrorCode
  readonly detail: string

  constructor(code: ErrorCode, detail: string, options?: { cause?: unknown }) {
    super(`${detail}. ${errorTable[code].help}`, options)
    this.name = 'ShoalError'
    this.code = code
    this.detail = detail
  }

  get spec(): ErrorSpec {
    return errorTable[this.code]
  }
}
